package dev.nibble.quantizer.tokenizer;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.Arrays;

/**
 * The printable character for each byte in byte-level vocabularies: itself if it is printable in
 * Latin-1, else the next free one from U+0100 (GPT-2, Radford et al. 2019).
 */
final class ByteLevelAlphabet {
  private static final char[] CHARACTERS = new char[256];
  private static final short[] BYTES = new short[0x200];

  static {
    Arrays.fill(BYTES, (short) -1);
    char free = 0x100;
    for (int b = 0; b < 256; b++) {
      boolean printable = (b > ' ' && b <= '~') || (b >= 0xA1 && b != 0xAD);
      CHARACTERS[b] = printable ? (char) b : free++;
      BYTES[CHARACTERS[b]] = (short) b;
    }
  }

  private ByteLevelAlphabet() {}

  /** The UTF-8 bytes of a text, each as its character. */
  static String spell(String text) {
    byte[] bytes = text.getBytes(UTF_8);
    char[] spelled = new char[bytes.length];
    for (int i = 0; i < bytes.length; i++) {
      spelled[i] = CHARACTERS[bytes[i] & 0xFF];
    }
    return new String(spelled);
  }

  /** The bytes a token spells; the bytes of its own text if it is not spelled so. */
  static byte[] bytes(String token) {
    byte[] bytes = new byte[token.length()];
    for (int i = 0; i < bytes.length; i++) {
      char unit = token.charAt(i);
      if (unit >= BYTES.length || BYTES[unit] < 0) {
        return token.getBytes(UTF_8);
      }
      bytes[i] = (byte) BYTES[unit];
    }
    return bytes;
  }
}
