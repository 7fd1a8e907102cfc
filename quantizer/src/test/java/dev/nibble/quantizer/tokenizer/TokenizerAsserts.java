package dev.nibble.quantizer.tokenizer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.fail;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.Arrays;

/** What holds for every tokenizer. */
final class TokenizerAsserts {
  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

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

  /**
   * A text of n characters takes under two seconds, and 2n at most 2.5 times as long as n; what
   * takes under 0.2 s is too short to compare on a busy machine.
   */
  static void assertLinear(Tokenizer tokenizer, String unit) {
    String whole = unit.repeat((1 << 20) / unit.length());
    String half = whole.substring(0, whole.length() / 2);
    double wholeSeconds = Double.POSITIVE_INFINITY;
    double halfSeconds = Double.POSITIVE_INFINITY;
    for (int attempt = 0; attempt < 10; attempt++) {
      // The least of several times of this thread: other work on the machine only adds to them.
      wholeSeconds = Math.min(wholeSeconds, seconds(tokenizer, whole));
      if (wholeSeconds < 0.2) {
        return;
      }
      halfSeconds = Math.min(halfSeconds, seconds(tokenizer, half));
      if (wholeSeconds < 2 && wholeSeconds <= 2.5 * halfSeconds) {
        return;
      }
    }
    fail("1 MB took " + wholeSeconds + " s, half of it " + halfSeconds + " s");
  }

  private static double seconds(Tokenizer tokenizer, String text) {
    long start = THREADS.getCurrentThreadCpuTime();
    tokenizer.encode(text, true);
    return (THREADS.getCurrentThreadCpuTime() - start) * 1e-9;
  }
}
