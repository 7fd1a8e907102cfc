package dev.nibble.kernels;

import java.util.HashMap;
import java.util.Map;
import java.util.function.IntBinaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * PTX in a form that compresses to two thirds: without comments and indentation, and with the
 * number of each register and label as its distance from the last one of its kind. Code that was
 * unrolled or instantiated twice is then the same text twice.
 */
final class PtxText {
  private static final Pattern NUMBERED = Pattern.compile("(%[a-z]+|\\$L__BB\\d+_)(-?\\d+)\\b");

  private PtxText() {}

  /** Drops what the driver does not read, and counts from the last. */
  static String pack(String ptx) {
    String code =
        ptx.lines()
            .map(line -> line.replaceFirst("//.*", "").replaceAll("\\s+", " ").strip())
            .filter(line -> !line.isEmpty())
            .map(line -> line + "\n")
            .collect(Collectors.joining());
    return renumber(code, (number, last) -> number - last, (number, _) -> number);
  }

  /** Counts from zero again. */
  static String unpack(String packed) {
    return renumber(packed, Math::addExact, (_, result) -> result);
  }

  /**
   * Replaces numbers.
   *
   * @param result of a number and the last of its kind
   * @param next the last one for the number that follows, of a number and its result
   */
  private static String renumber(String text, IntBinaryOperator result, IntBinaryOperator next) {
    Map<String, Integer> last = new HashMap<>();
    Matcher found = NUMBERED.matcher(text);
    StringBuilder out = new StringBuilder(text.length());
    int end = 0;
    while (found.find()) {
      String kind = found.group(1);
      int number = Integer.parseInt(text, found.start(2), found.end(2), 10);
      int changed = result.applyAsInt(number, last.getOrDefault(kind, 0));
      last.put(kind, next.applyAsInt(number, changed));
      out.append(text, end, found.start(2)).append(changed);
      end = found.end(2);
    }
    return out.append(text, end, text.length()).toString();
  }
}
