package dev.nibble.quantizer.method;

import java.util.Random;

/** Random inputs from one seed, which failures print. */
final class Draws {
  private static final long SEED = Long.getLong("tests.seed", 20_261_122L);

  private final Random random = new Random(SEED);

  static String seed() {
    return "-Dtests.seed=" + SEED;
  }

  Random random() {
    return random;
  }

  float[] gaussian(int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  /** Inputs [tokens, width] of a few common factors and some noise, channels of unlike size. */
  float[] correlated(int tokens, int width) {
    int rank = Math.max(1, width / 8);
    float[] mixing = gaussian(rank * width);
    float[] size = gaussian(width);
    float[] x = new float[tokens * width];
    for (int t = 0; t < tokens; t++) {
      float[] factors = gaussian(rank);
      for (int c = 0; c < width; c++) {
        double sum = 0.3 * random.nextGaussian();
        for (int k = 0; k < rank; k++) {
          sum += factors[k] * mixing[k * width + c];
        }
        x[t * width + c] = (float) (sum * Math.exp(size[c]));
      }
    }
    return x;
  }
}
