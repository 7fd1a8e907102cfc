package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.nibble.quantizer.tensor.WorkerThreads;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class InputProductsTest {
  private static final int TOKENS = 33;

  @ParameterizedTest
  @ValueSource(ints = {1, 7, 127, 128, 129, 300})
  void areSumsOverWindows(int width) {
    Draws draws = new Draws();
    float[][] x = {draws.gaussian(TOKENS * width), draws.gaussian(TOKENS * width)};
    float[][] y = {draws.gaussian(TOKENS * width), draws.gaussian(TOKENS * width)};
    double[][] found = new double[2][];
    double[][] mixed = new double[2][];
    for (int threads = 1; threads <= 2; threads++) {
      try (WorkerThreads workers = new WorkerThreads(threads)) {
        InputProducts squares = new InputProducts(width, workers);
        InputProducts products = new InputProducts(width, workers);
        for (int w = 0; w < x.length; w++) {
          squares.addSquare(x[w]);
          products.add(x[w], y[w]);
        }
        found[threads - 1] = squares.sums();
        mixed[threads - 1] = products.sums();
      }
    }
    assertArrayEquals(found[0], found[1]);
    assertArrayEquals(mixed[0], mixed[1]);
    for (int i = 0; i < width; i++) {
      for (int j = 0; j < width; j++) {
        if (j >= i) {
          assertEquals(sum(x, x, width, i, j), found[0][i * width + j], 1e-4, Draws.seed());
        }
        assertEquals(sum(x, y, width, i, j), mixed[0][i * width + j], 1e-4, Draws.seed());
      }
    }
  }

  private static double sum(float[][] x, float[][] y, int width, int i, int j) {
    double sum = 0;
    for (int w = 0; w < x.length; w++) {
      for (int t = 0; t < TOKENS; t++) {
        sum += (double) x[w][t * width + i] * y[w][t * width + j];
      }
    }
    return sum;
  }
}
