package dev.nibble.quantizer.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class FloatGemmTest {
  private static final long SEED = Long.getLong("tests.seed", System.nanoTime());

  @ParameterizedTest
  @CsvSource({
    "1, 1, 1",
    "7, 31, 33",
    "8, 32, 32",
    "64, 128, 64",
    "65, 129, 97",
    "33, 257, 1",
    "130, 300, 70"
  })
  void equalsOneChainOfFusedAdds(int m, int k, int n) {
    Random random = new Random(SEED);
    float[] a = floats(random, m * k);
    float[] b = floats(random, k * n);
    float[] start = floats(random, m * n);
    float[] expected = start.clone();
    for (int r = 0; r < m; r++) {
      for (int c = 0; c < n; c++) {
        for (int i = 0; i < k; i++) {
          expected[r * n + c] = Math.fma(b[i * n + c], a[r * k + i], expected[r * n + c]);
        }
      }
    }
    float[] turnedA = transpose(a, m, k);
    float[] turnedB = transpose(b, k, n);
    for (int threads = 1; threads <= 2; threads++) {
      try (WorkerThreads workers = new WorkerThreads(threads)) {
        FloatGemm gemm = new FloatGemm(workers);
        for (int form = 0; form < 4; form++) {
          FloatMatrix left =
              form % 2 == 0 ? FloatMatrix.of(a, m, k) : FloatMatrix.of(turnedA, k, m).transposed();
          FloatMatrix right =
              form / 2 == 0 ? FloatMatrix.of(b, k, n) : FloatMatrix.of(turnedB, n, k).transposed();
          float[] found = start.clone();
          gemm.add(left, right, FloatMatrix.of(found, m, n));
          assertArrayEquals(expected, found, "seed " + SEED + " form " + form);
          long before = workers.operations();
          gemm.multiply(left, right, FloatMatrix.of(found, m, n));
          assertEquals(2L * m * k * n, workers.operations() - before);
          float[] again = new float[m * n];
          gemm.add(left, right, FloatMatrix.of(again, m, n));
          assertArrayEquals(again, found, "seed " + SEED + " form " + form);
        }
      }
    }
  }

  @Test
  void worksInsideLargerMatrices() {
    Random random = new Random(SEED);
    float[] data = floats(random, 20 * 50);
    float[] out = new float[30 * 40];
    try (WorkerThreads workers = new WorkerThreads(1)) {
      new FloatGemm(workers)
          .multiply(
              new FloatMatrix(data, 3, 9, 5, 50, 2),
              new FloatMatrix(data, 7, 5, 33, 50, 1),
              new FloatMatrix(out, 41, 9, 33, 40, 1));
    }
    for (int r = 0; r < 30; r++) {
      for (int c = 0; c < 40; c++) {
        float sum = 0;
        boolean inside = r >= 1 && r < 10 && c >= 1 && c < 34;
        for (int k = 0; inside && k < 5; k++) {
          sum = Math.fma(data[7 + k * 50 + c - 1], data[3 + (r - 1) * 50 + k * 2], sum);
        }
        assertEquals(sum, out[r * 40 + c], "seed " + SEED);
      }
    }
  }

  @Test
  void refusesShapesThatDoNotFit() {
    float[] data = new float[100];
    assertThrows(IllegalArgumentException.class, () -> FloatMatrix.of(data, 10, 11));
    try (WorkerThreads workers = new WorkerThreads(1)) {
      FloatGemm gemm = new FloatGemm(workers);
      FloatMatrix square = FloatMatrix.of(data, 3, 3);
      assertThrows(
          IllegalArgumentException.class,
          () -> gemm.multiply(FloatMatrix.of(data, 3, 4), square, square));
      assertThrows(
          IllegalArgumentException.class,
          () -> gemm.multiply(square, square, FloatMatrix.of(new float[9], 3, 3).transposed()));
    }
  }

  private static float[] transpose(float[] x, int rows, int columns) {
    float[] turned = new float[x.length];
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < columns; c++) {
        turned[c * rows + r] = x[r * columns + c];
      }
    }
    return turned;
  }

  private static float[] floats(Random random, int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }
}
