package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.nibble.quantizer.tensor.WorkerThreads;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class InverseFactorTest {
  @ParameterizedTest
  @ValueSource(ints = {1, 7, 31, 63, 64, 65, 129, 200})
  void isTheFactorOfTheInverse(int n) {
    double[] h = positive(n);
    double[] u;
    try (WorkerThreads one = new WorkerThreads(1);
        WorkerThreads two = new WorkerThreads(2)) {
      u = InverseFactor.of(h.clone(), n, one);
      assertArrayEquals(u, InverseFactor.of(h.clone(), n, two));
    }
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < i; j++) {
        assertEquals(0, u[i * n + j], "below the diagonal");
      }
    }
    // U H U^T = I, as U^T U is the inverse of H.
    double[] uh = new double[n * n];
    for (int i = 0; i < n; i++) {
      for (int k = 0; k < n; k++) {
        for (int l = 0; l < n; l++) {
          uh[i * n + l] += u[i * n + k] * (k <= l ? h[k * n + l] : h[l * n + k]);
        }
      }
    }
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        double sum = 0;
        for (int l = 0; l < n; l++) {
          sum += uh[i * n + l] * u[j * n + l];
        }
        assertEquals(i == j ? 1 : 0, sum, 1e-9, n + " " + Draws.seed());
      }
    }
  }

  @Test
  void refusesWhatIsNotPositiveDefinite() {
    double[] h = {1, 2, 0, 1};
    double[] notNumbers = {Double.NaN};
    try (WorkerThreads workers = new WorkerThreads(1)) {
      assertThrows(ArithmeticException.class, () -> InverseFactor.of(h, 2, workers));
      assertThrows(ArithmeticException.class, () -> InverseFactor.of(notNumbers, 1, workers));
    }
  }

  /** The upper half of a positive definite matrix. */
  private static double[] positive(int n) {
    float[] x = new Draws().gaussian(2 * n * n);
    double[] h = new double[n * n];
    for (int i = 0; i < n; i++) {
      for (int j = i; j < n; j++) {
        double sum = i == j ? 1 : 0;
        for (int t = 0; t < 2 * n; t++) {
          sum += x[t * n + i] * x[t * n + j];
        }
        h[i * n + j] = sum;
      }
    }
    return h;
  }
}
