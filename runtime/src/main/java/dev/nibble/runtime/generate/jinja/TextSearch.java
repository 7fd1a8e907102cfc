package dev.nibble.runtime.generate.jinja;

/** Finds a part in a text in linear time; String's own search is quadratic for long parts. */
final class TextSearch {
  private static final int SHORT = 32;

  private TextSearch() {}

  /** The first place at or after {@code from}, or -1. */
  static int first(String text, String part, int from) {
    if (part.length() <= SHORT) {
      return text.indexOf(part, from);
    }
    int[] borders = borders(part);
    int matched = 0;
    for (int i = from; i < text.length(); i++) {
      while (matched > 0 && text.charAt(i) != part.charAt(matched)) {
        matched = borders[matched - 1];
      }
      matched += text.charAt(i) == part.charAt(matched) ? 1 : 0;
      if (matched == part.length()) {
        return i + 1 - matched;
      }
    }
    return -1;
  }

  /** The last place at or before {@code from}, or -1. */
  static int last(String text, String part, int from) {
    if (part.length() <= SHORT) {
      return text.lastIndexOf(part, from);
    }
    int end = Math.min(text.length(), from + part.length());
    if (end < part.length()) {
      return -1;
    }
    String mirrored = new StringBuilder(text.substring(0, end)).reverse().toString();
    int found = first(mirrored, new StringBuilder(part).reverse().toString(), 0);
    return found < 0 ? -1 : end - found - part.length();
  }

  static boolean contains(String text, String part) {
    return first(text, part, 0) >= 0;
  }

  /** For each prefix, the longest shorter prefix that also ends it (Knuth, Morris, Pratt 1977). */
  private static int[] borders(String part) {
    int[] borders = new int[part.length()];
    int matched = 0;
    for (int i = 1; i < part.length(); i++) {
      while (matched > 0 && part.charAt(i) != part.charAt(matched)) {
        matched = borders[matched - 1];
      }
      matched += part.charAt(i) == part.charAt(matched) ? 1 : 0;
      borders[i] = matched;
    }
    return borders;
  }
}
