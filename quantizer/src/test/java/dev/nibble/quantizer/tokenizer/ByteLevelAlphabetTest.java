package dev.nibble.quantizer.tokenizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

class ByteLevelAlphabetTest {
  /** The character of a byte. */
  static String character(int value) {
    for (char c = 0x1FF; c > ' '; c--) {
      byte[] bytes = ByteLevelAlphabet.bytes(String.valueOf(c));
      if (bytes.length == 1 && (bytes[0] & 0xFF) == value) {
        return String.valueOf(c);
      }
    }
    throw new AssertionError("no character for byte " + value);
  }

  @Test
  void everyByteHasACharacterOfItsOwn() {
    Set<String> characters = new HashSet<>();
    for (int value = 0; value < 256; value++) {
      characters.add(character(value));
    }
    assertEquals(256, characters.size());
    assertEquals("\u0120", character(' '));
    assertEquals("\u010A", character('\n'));
    assertEquals("\u00C3\u00A9", ByteLevelAlphabet.spell("\u00E9"));
  }

  @Test
  void aTokenThatIsNotSpelledSoKeepsItsText() {
    assertArrayEquals(new byte[] {'a', ' ', 'b'}, ByteLevelAlphabet.bytes("a b"));
  }
}
