package dev.nibble.quantizer.tokenizer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;

/** What holds for every tokenizer. */
final class TokenizerAsserts {
  private TokenizerAsserts() {}

  /** A stream of tokens gives the text of them all, and never half a surrogate pair. */
  static void assertStreams(Tokenizer tokenizer, int[] ids) {
    Tokenizer.StreamingDecoder decoder = tokenizer.newDecoder();
    StringBuilder joined = new StringBuilder();
    for (int id : ids) {
      String part = decoder.next(id);
      if (!part.isEmpty()) {
        assertFalse(Character.isLowSurrogate(part.charAt(0)), () -> "split: " + part);
        assertFalse(
            Character.isHighSurrogate(part.charAt(part.length() - 1)), () -> "split: " + part);
      }
      joined.append(part);
    }
    joined.append(decoder.finish());
    assertEquals(tokenizer.decode(ids), joined.toString(), () -> Arrays.toString(ids));
  }

  /** A text of n characters takes under two seconds, and 2n at most 2.5 times as long as n. */
  static void assertLinear(Tokenizer tokenizer, String unit) {
    String whole = unit.repeat((1 << 20) / unit.length());
    String half = whole.substring(0, whole.length() / 2);
    double ratio = Double.POSITIVE_INFINITY;
    double seconds = Double.POSITIVE_INFINITY;
    for (int attempt = 0; attempt < 6 && (ratio > 2.5 || seconds > 2); attempt++) {
      double wholeSeconds = seconds(tokenizer, whole);
      ratio = Math.min(ratio, wholeSeconds / seconds(tokenizer, half));
      seconds = Math.min(seconds, wholeSeconds);
    }
    assertTrue(ratio <= 2.5, "time(2n) is " + ratio + " x time(n)");
    assertTrue(seconds < 2, "1 MB took " + seconds + " s");
  }

  private static double seconds(Tokenizer tokenizer, String text) {
    long start = System.nanoTime();
    tokenizer.encode(text, true);
    return (System.nanoTime() - start) * 1e-9;
  }
}
