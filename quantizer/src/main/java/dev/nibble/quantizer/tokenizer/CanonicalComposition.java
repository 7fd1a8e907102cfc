package dev.nibble.quantizer.tokenizer;

import java.text.Normalizer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Normalization form C in time that grows with the text. The JDK's takes the square of the length
 * of a run of combining marks, so that a long run is brought into canonical order before it gets
 * there (Unicode Standard Annex 15; Unicode 16, section 3.11).
 */
final class CanonicalComposition {
  /** Runs up to here are left to the JDK. */
  private static final int SHORT_RUN = 128;

  // The marks of the least and the greatest combining class.
  private static final String FIRST_MARK = "\u0334";
  private static final String LAST_MARK = "\u0345";

  private CanonicalComposition() {}

  static String compose(String text) {
    StringBuilder ordered = new StringBuilder();
    int done = 0;
    int i = 0;
    while (i < text.length()) {
      int end = endOfMarks(text, i);
      if (end - i > SHORT_RUN) {
        ordered.append(text, done, i);
        appendOrdered(text.substring(i, end), ordered);
        done = end;
      }
      i = end > i ? end : i + Character.charCount(text.codePointAt(i));
    }
    String input = done == 0 ? text : ordered.append(text, done, text.length()).toString();
    return Normalizer.normalize(input, Normalizer.Form.NFC);
  }

  private static int endOfMarks(String text, int start) {
    int i = start;
    while (i < text.length() && isMark(text.codePointAt(i))) {
      i += Character.charCount(text.codePointAt(i));
    }
    return i;
  }

  private static boolean isMark(int codePoint) {
    return switch (Character.getType(codePoint)) {
      case Character.NON_SPACING_MARK, Character.COMBINING_SPACING_MARK, Character.ENCLOSING_MARK ->
          true;
      default -> false;
    };
  }

  /** Decomposes marks and sorts what lies between those of class 0 by class, stably. */
  private static void appendOrdered(String marks, StringBuilder out) {
    Map<Integer, String> decompositions = new HashMap<>();
    StringBuilder decomposed = new StringBuilder();
    marks
        .codePoints()
        .forEach(mark ->
            decomposed.append(
                decompositions.computeIfAbsent(
                    mark, m -> Normalizer.normalize(Character.toString(m), Normalizer.Form.NFD))));
    Map<Integer, Integer> classes = classes(decomposed.codePoints().distinct().boxed().toList());
    List<Integer> run = new ArrayList<>();
    decomposed
        .codePoints()
        .forEach(mark -> {
          if (classes.containsKey(mark)) {
            run.add(mark);
          } else {
            appendSorted(run, classes, out);
            out.appendCodePoint(mark);
          }
        });
    appendSorted(run, classes, out);
  }

  private static void appendSorted(
      List<Integer> run, Map<Integer, Integer> classes, StringBuilder out) {
    run.sort(Comparator.comparing(classes::get));
    run.forEach(out::appendCodePoint);
    run.clear();
  }

  /** Ranks of the combining classes of some characters; those of class 0 are not in it. */
  private static Map<Integer, Integer> classes(List<Integer> characters) {
    List<String> marks =
        characters.stream()
            .map(Character::toString)
            .filter(c -> isAfter(LAST_MARK, c) || isAfter(c, FIRST_MARK))
            .sorted((a, b) -> isAfter(a, b) ? 1 : isAfter(b, a) ? -1 : 0)
            .toList();
    Map<Integer, Integer> classes = new HashMap<>();
    int rank = 0;
    for (int i = 0; i < marks.size(); i++) {
      rank += i > 0 && isAfter(marks.get(i), marks.get(i - 1)) ? 1 : 0;
      classes.put(marks.get(i).codePointAt(0), rank);
    }
    return classes;
  }

  /** Whether two marks in this order are swapped: the first is of a greater class. */
  private static boolean isAfter(String first, String second) {
    return Normalizer.normalize(first + second, Normalizer.Form.NFD).equals(second + first)
        && !first.equals(second);
  }
}
