package dev.nibble.quantizer.tokenizer;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.text.Normalizer;
import java.time.Duration;
import java.util.Random;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;

class CanonicalCompositionTest {
  private static final long SEED = Long.getLong("tests.seed", System.nanoTime());

  /** Marks of many classes, marks that decompose, marks of class 0, letters. */
  private static final String CHARACTERS =
      "\u0301\u0316\u0300\u0323\u0334\u0345\u0344\u0327\u093C\u0591\u0308\u0903\u20DD\u1D165aeA\uAC00\u11A8";

  @Test
  void composesAsTheJdkDoes() {
    Random random = new Random(SEED);
    for (int i = 0; i < 300; i++) {
      StringBuilder text = new StringBuilder();
      int runs = 1 + random.nextInt(3);
      for (int r = 0; r < runs; r++) {
        text.append((char) ('a' + random.nextInt(26)));
        int length = random.nextInt(4) == 0 ? random.nextInt(5) : 100 + random.nextInt(400);
        int kinds = 1 + random.nextInt(14);
        for (int k = 0; k < length; k++) {
          text.append(CHARACTERS.charAt(random.nextInt(kinds)));
        }
        text.append(CHARACTERS.charAt(random.nextInt(CHARACTERS.length())));
      }
      assertEquals(
          Normalizer.normalize(text, Normalizer.Form.NFC),
          CanonicalComposition.compose(text.toString()),
          () -> "seed " + SEED);
    }
  }

  @Test
  void takesAMegabyteOfAlternatingMarks() {
    String text = "a" + "\u0301\u0316".repeat(1 << 18);
    Assertions.assertTimeoutPreemptively(
        Duration.ofSeconds(20), () -> CanonicalComposition.compose(text));
  }
}
