package dev.nibble.quantizer.tokenizer;

/**
 * Turns bytes into text as they come. A code point appears when its last byte has; bytes that are
 * not UTF-8 become U+FFFD.
 */
final class Utf8Assembler {
  private static final char REPLACEMENT = '\uFFFD';

  /** How many U+FFFD a broken sequence becomes. */
  enum Replacement {
    /** One a byte, as SentencePiece does. */
    EACH_BYTE,
    /** One a maximal subpart (Unicode 16, section 3.9), as Rust's lossy conversion does. */
    EACH_SEQUENCE
  }

  private final Replacement replacement;
  private int codePoint;
  private int held;
  private int missing;

  Utf8Assembler(Replacement replacement) {
    this.replacement = replacement;
  }

  void append(byte next, StringBuilder out) {
    int b = next & 0xFF;
    if (missing > 0 && continues(b)) {
      codePoint = codePoint << 6 | (b & 0x3F);
      held++;
      missing--;
      if (missing == 0) {
        out.appendCodePoint(codePoint);
        held = 0;
      }
      return;
    }
    flush(out);
    if (b < 0x80) {
      out.append((char) b);
    } else if (b >= 0xC2 && b < 0xF5) {
      missing = b < 0xE0 ? 1 : b < 0xF0 ? 2 : 3;
      codePoint = b & (0x3F >> missing);
      held = 1;
    } else {
      out.append(REPLACEMENT);
    }
  }

  /** Ends the run of bytes: a sequence that lacks bytes is broken. */
  void flush(StringBuilder out) {
    int broken = replacement == Replacement.EACH_BYTE ? held : Math.min(held, 1);
    out.repeat(REPLACEMENT, broken);
    held = 0;
    missing = 0;
  }

  /** Whether a byte may follow those held: no overlong form, surrogate or value above U+10FFFF. */
  private boolean continues(int b) {
    if ((b & 0xC0) != 0x80) {
      return false;
    }
    if (held > 1) {
      return true;
    }
    return switch (missing) {
      case 2 -> codePoint == 0 ? b >= 0xA0 : codePoint != 0xD || b < 0xA0;
      case 3 -> codePoint == 0 ? b >= 0x90 : codePoint != 4 || b < 0x90;
      default -> true;
    };
  }
}
