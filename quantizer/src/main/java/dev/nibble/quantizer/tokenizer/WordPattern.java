package dev.nibble.quantizer.tokenizer;

import java.util.Arrays;
import java.util.Optional;

/**
 * The regular expressions that split text into words before byte-level byte-pair encoding. Each is
 * a hand-written scanner that looks at a character a fixed number of times, so that no text makes
 * it slow or deep; an expression that is not listed has no scanner and is refused.
 */
enum WordPattern {
  /** GPT-2's, which the ByteLevel pre-tokenizer applies itself. */
  GPT2("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+") {
    @Override
    int end(String text, int start) {
      int end = contraction(text, start, false);
      if (end > start) {
        return end;
      }
      int word = text.charAt(start) == ' ' && start + 1 < text.length() ? start + 1 : start;
      int first = text.codePointAt(word);
      if (UnicodeText.isLetter(first)) {
        return letters(text, word);
      }
      if (UnicodeText.isNumber(first)) {
        return numbers(text, word, Integer.MAX_VALUE);
      }
      return UnicodeText.isWhiteSpace(first) ? spaces(text, start) : symbols(text, word);
    }
  },

  /** Llama 3's: numbers by three digits. */
  LLAMA3(Gpt4.BEFORE_NUMBER + "\\p{N}{1,3}" + Gpt4.AFTER_NUMBER) {
    @Override
    int end(String text, int start) {
      return gpt4End(text, start, 3);
    }
  },

  /** Qwen 2's: numbers by single digits. */
  QWEN2(Gpt4.BEFORE_NUMBER + "\\p{N}" + Gpt4.AFTER_NUMBER) {
    @Override
    int end(String text, int start) {
      return gpt4End(text, start, 1);
    }
  };

  private static final class Gpt4 {
    static final String BEFORE_NUMBER =
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|";
    static final String AFTER_NUMBER =
        "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  }

  private final String regex;

  WordPattern(String regex) {
    this.regex = regex;
  }

  /** The pattern of exactly this expression. */
  static Optional<WordPattern> of(String regex) {
    return Arrays.stream(values()).filter(pattern -> pattern.regex.equals(regex)).findAny();
  }

  /** The end of the match that begins at {@code start}, which is inside the text. */
  abstract int end(String text, int start);

  private static int gpt4End(String text, int start, int digits) {
    int end = contraction(text, start, true);
    if (end > start) {
      return end;
    }
    int first = text.codePointAt(start);
    if (UnicodeText.isLetter(first)) {
      return letters(text, start);
    }
    if (UnicodeText.isNumber(first)) {
      return numbers(text, start, digits);
    }
    int second = start + Character.charCount(first);
    boolean more = second < text.length();
    if (more && first != '\r' && first != '\n' && UnicodeText.isLetter(text.codePointAt(second))) {
      return letters(text, second);
    }
    if (!UnicodeText.isWhiteSpace(first)) {
      return lineBreaks(text, symbols(text, start));
    }
    if (more && first == ' ' && isSymbol(text.codePointAt(second))) {
      return lineBreaks(text, symbols(text, second));
    }
    return spacesToLineBreak(text, start);
  }

  /** The end of 's, 't, 're, 've, 'm, 'll or 'd at {@code start}, or {@code start}. */
  private static int contraction(String text, int start, boolean anyCase) {
    if (text.charAt(start) != '\'' || start + 1 == text.length()) {
      return start;
    }
    char first = folded(text.charAt(start + 1), anyCase);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') {
      return start + 2;
    }
    if (start + 2 == text.length()) {
      return start;
    }
    char second = folded(text.charAt(start + 2), anyCase);
    boolean matches =
        switch (first) {
          case 'r', 'v' -> second == 'e';
          case 'l' -> second == 'l';
          default -> false;
        };
    return matches ? start + 3 : start;
  }

  private static char folded(char unit, boolean anyCase) {
    if (!anyCase) {
      return unit;
    }
    // The one letter outside ASCII that these fold to: LATIN SMALL LETTER LONG S.
    return unit == '\u017F' ? 's' : unit < 0x80 ? Character.toLowerCase(unit) : unit;
  }

  private static boolean isSymbol(int codePoint) {
    return !UnicodeText.isWhiteSpace(codePoint)
        && !UnicodeText.isLetter(codePoint)
        && !UnicodeText.isNumber(codePoint);
  }

  private static int letters(String text, int start) {
    int i = start;
    while (i < text.length() && UnicodeText.isLetter(text.codePointAt(i))) {
      i += Character.charCount(text.codePointAt(i));
    }
    return i;
  }

  private static int numbers(String text, int start, int most) {
    int i = start;
    int count = 0;
    while (i < text.length() && count < most && UnicodeText.isNumber(text.codePointAt(i))) {
      i += Character.charCount(text.codePointAt(i));
      count++;
    }
    return i;
  }

  private static int symbols(String text, int start) {
    int i = start;
    while (i < text.length() && isSymbol(text.codePointAt(i))) {
      i += Character.charCount(text.codePointAt(i));
    }
    return i;
  }

  private static int lineBreaks(String text, int start) {
    int i = start;
    while (i < text.length() && isLineBreak(text.charAt(i))) {
      i++;
    }
    return i;
  }

  private static boolean isLineBreak(char unit) {
    return unit == '\r' || unit == '\n';
  }

  /** {@code \s*[\r\n]+}, and where there is no line break what {@link #spaces} matches. */
  private static int spacesToLineBreak(String text, int start) {
    int afterBreak = start;
    int i = start;
    while (i < text.length() && UnicodeText.isWhiteSpace(text.charAt(i))) {
      if (isLineBreak(text.charAt(i))) {
        afterBreak = i + 1;
      }
      i++;
    }
    return afterBreak > start ? afterBreak : spaces(text, start);
  }

  /** {@code \s+(?!\S)|\s+}: of spaces before a word the last is left to it, unless it is alone. */
  private static int spaces(String text, int start) {
    int i = start;
    while (i < text.length() && UnicodeText.isWhiteSpace(text.charAt(i))) {
      i++;
    }
    return i == text.length() || i == start + 1 ? i : i - 1;
  }
}
