package dev.nibble.quantizer.tokenizer;

/** Text and character classes as the reference tokenizers see them. */
final class UnicodeText {
  private UnicodeText() {}

  /** The text with U+FFFD in place of unpaired surrogates. */
  static String wellFormed(String text) {
    int length = text.length();
    for (int i = 0; i < length; i++) {
      if (!Character.isSurrogate(text.charAt(i))) {
        continue;
      }
      if (Character.isSurrogatePair(text.charAt(i), i + 1 < length ? text.charAt(i + 1) : 0)) {
        i++;
      } else {
        return repaired(text);
      }
    }
    return text;
  }

  private static String repaired(String text) {
    StringBuilder out = new StringBuilder(text.length());
    text.codePoints()
        .forEach(codePoint -> {
          boolean unpaired = codePoint <= 0xFFFF && Character.isSurrogate((char) codePoint);
          out.appendCodePoint(unpaired ? 0xFFFD : codePoint);
        });
    return out.toString();
  }

  /** The property White_Space, which is what {@code \s} means to the reference's expressions. */
  static boolean isWhiteSpace(int codePoint) {
    return switch (codePoint) {
      case 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x20, 0x85, 0xA0, 0x1680 -> true;
      case 0x2028, 0x2029, 0x202F, 0x205F, 0x3000 -> true;
      default -> codePoint >= 0x2000 && codePoint <= 0x200A;
    };
  }

  /** The general categories L*. */
  static boolean isLetter(int codePoint) {
    return Character.isLetter(codePoint);
  }

  /** The general categories N*. */
  static boolean isNumber(int codePoint) {
    return switch (Character.getType(codePoint)) {
      case Character.DECIMAL_DIGIT_NUMBER, Character.LETTER_NUMBER, Character.OTHER_NUMBER -> true;
      default -> false;
    };
  }

  /** {@code \w} of Unicode Technical Standard 18, annex C. */
  static boolean isWordPart(int codePoint) {
    return switch (Character.getType(codePoint)) {
      case Character.NON_SPACING_MARK,
          Character.COMBINING_SPACING_MARK,
          Character.ENCLOSING_MARK,
          Character.DECIMAL_DIGIT_NUMBER,
          Character.CONNECTOR_PUNCTUATION ->
          true;
      default -> Character.isAlphabetic(codePoint) || codePoint == 0x200C || codePoint == 0x200D;
    };
  }
}
