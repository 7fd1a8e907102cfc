package dev.nibble.quantizer.tokenizer;

/** Text as tokenizers see it. */
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
}
