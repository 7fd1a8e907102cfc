package dev.nibble.runtime.cli;

import java.util.Arrays;
import java.util.stream.Collectors;

/** Token ids as text: {@code 1,2,3}. */
final class TokenIds {
  private TokenIds() {}

  /**
   * Reads ids.
   *
   * @param text ids with commas or blanks between them; may hold none
   * @throws IllegalArgumentException if something else is there
   */
  static int[] parse(String text) {
    String stripped = text.strip();
    return stripped.isEmpty()
        ? new int[0]
        : Arrays.stream(stripped.split("\\s*,\\s*|\\s+", -1)).mapToInt(TokenIds::id).toArray();
  }

  private static int id(String text) {
    try {
      int id = Integer.parseInt(text);
      if (id >= 0) {
        return id;
      }
    } catch (NumberFormatException e) {
      // Reported below, with negative numbers.
    }
    throw new IllegalArgumentException("token id '" + text + "': expected a number, 0 or more");
  }

  static String format(int[] ids) {
    return Arrays.stream(ids).mapToObj(Integer::toString).collect(Collectors.joining(","));
  }
}
