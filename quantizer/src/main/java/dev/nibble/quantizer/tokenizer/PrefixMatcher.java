package dev.nibble.quantizer.tokenizer;

import java.util.BitSet;
import java.util.Collection;

/** Finds the longest of a set of strings that begins at a place of a text. */
final class PrefixMatcher {
  private final String[] sorted;
  private final BitSet firstUnits = new BitSet();

  /** A matcher of non-empty strings. */
  PrefixMatcher(Collection<String> strings) {
    sorted = strings.stream().sorted().toArray(String[]::new);
    for (String string : sorted) {
      firstUnits.set(string.charAt(0));
    }
  }

  /** UTF-16 units of the longest match at {@code from}, or 0. */
  int longestAt(String text, int from) {
    if (!firstUnits.get(text.charAt(from))) {
      return 0;
    }
    int longest = 0;
    int low = 0;
    int high = sorted.length;
    for (int depth = 0; from + depth < text.length(); depth++) {
      char unit = text.charAt(from + depth);
      low = firstNotBelow(low, high, depth, unit);
      high = firstNotBelow(low, high, depth, unit + 1);
      if (low == high) {
        break;
      }
      if (sorted[low].length() == depth + 1) {
        longest = depth + 1;
      }
    }
    return longest;
  }

  /** The first of the strings, which agree in {@code depth} units, whose next is not below. */
  private int firstNotBelow(int from, int to, int depth, int unit) {
    int low = from;
    int high = to;
    while (low < high) {
      int middle = (low + high) >>> 1;
      String string = sorted[middle];
      if (string.length() == depth || string.charAt(depth) < unit) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
}
