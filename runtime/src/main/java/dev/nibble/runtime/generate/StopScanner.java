package dev.nibble.runtime.generate;

import java.util.List;

/** Lets text through up to the first stop string; holds back what may be the start of one. */
final class StopScanner {
  private final List<String> stops;
  private final StringBuilder held = new StringBuilder();
  private boolean stopped;

  StopScanner(List<String> stops) {
    this.stops = stops;
  }

  /** Takes the next piece and returns the text that is now known to be in front of any stop. */
  String next(String piece) {
    held.append(piece);
    int stop = firstStop();
    if (stop >= 0) {
      stopped = true;
      held.setLength(stop);
      return finish();
    }
    int safe = held.length() - possibleStart();
    if (safe > 0 && safe < held.length() && Character.isLowSurrogate(held.charAt(safe))) {
      safe--;
    }
    String text = held.substring(0, safe);
    held.delete(0, safe);
    return text;
  }

  /** Ends the text; what was held back was no stop string. */
  String finish() {
    String text = held.toString();
    held.setLength(0);
    return text;
  }

  /** Whether a stop string came. */
  boolean stopped() {
    return stopped;
  }

  private int firstStop() {
    int first = -1;
    for (String stop : stops) {
      int at = held.indexOf(stop);
      if (at >= 0 && (first < 0 || at < first)) {
        first = at;
      }
    }
    return first;
  }

  /** Length of the longest end of the held text that a stop string begins with. */
  private int possibleStart() {
    int longest = 0;
    for (String stop : stops) {
      for (int length = Math.min(stop.length() - 1, held.length()); length > longest; length--) {
        if (stop.startsWith(held.substring(held.length() - length))) {
          longest = length;
        }
      }
    }
    return longest;
  }
}
