package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.method.ErrorFeedback.GroupRange;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class ErrorFeedbackTest {
  private static final int ROWS = 37;
  private static final int COLUMNS = 161;
  private static final int TOKENS = 400;
  private static final double[] NO_DRIFT = {};

  private final Draws draws = new Draws();
  private final float[] weights = draws.gaussian(ROWS * COLUMNS);
  private final float[] inputs = draws.correlated(TOKENS, COLUMNS);

  @ParameterizedTest
  @CsvSource({"4, 0, false", "3, 32, true", "2, 64, false", "8, 128, false"})
  void identityHessianIsNearest(int bits, int group, boolean symmetric) {
    double[] identity = new double[COLUMNS * COLUMNS];
    for (int i = 0; i < COLUMNS; i++) {
      identity[i * COLUMNS + i] = 3;
    }
    PackedLayout layout = new PackedLayout(bits, ROWS, COLUMNS, group);
    try (WorkerThreads workers = new WorkerThreads(2)) {
      QuantizedLinear nearest = NearestRounding.round(weights, layout, symmetric, workers);
      for (GroupRange range : GroupRange.values()) {
        double[] factor = Gptq.factor(identity, natural(), workers);
        assertSame(
            nearest,
            new ErrorFeedback(natural(), factor, NO_DRIFT, range, 128)
                .round(weights, layout, symmetric, workers));
        double[] correlated = Gptq.factor(hessian(inputs), natural(), workers);
        QuantizedLinear other =
            new ErrorFeedback(natural(), correlated, NO_DRIFT, range, 128)
                .round(weights, layout, symmetric, workers);
        assertFalse(Arrays.equals(nearest.codes(), other.codes()), "correlated inputs must matter");
      }
      // An order of the columns must not matter either when nothing is handed on.
      int[] turned = IntStream.range(0, COLUMNS).map(i -> COLUMNS - 1 - i).toArray();
      double[] factor = Gptq.factor(identity, turned, workers);
      assertSame(
          nearest,
          new ErrorFeedback(turned, factor, NO_DRIFT, GroupRange.STATIC, 128)
              .round(weights, layout, symmetric, workers));
    }
  }

  @ParameterizedTest
  @EnumSource(GroupRange.class)
  void neitherBlockSizeNorThreadsChangeABit(GroupRange range) {
    PackedLayout layout = new PackedLayout(3, ROWS, COLUMNS, 32);
    try (WorkerThreads one = new WorkerThreads(1);
        WorkerThreads two = new WorkerThreads(2)) {
      double[] drift = upper(draws.gaussian(COLUMNS * COLUMNS));
      for (double[] p : new double[][] {NO_DRIFT, drift}) {
        double[] factor = Gptq.factor(hessian(inputs), natural(), one);
        QuantizedLinear whole =
            new ErrorFeedback(natural(), factor, p, range, COLUMNS)
                .round(weights, layout, false, one);
        for (int block : new int[] {1, 7, 32, 128}) {
          assertSame(
              whole,
              new ErrorFeedback(natural(), factor, p, range, block)
                  .round(weights, layout, false, two));
        }
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"4, 0", "3, 0", "2, 0", "3, 32", "2, 128"})
  void errorOfTheOutputIsBelowNearests(int bits, int group) {
    PackedLayout layout = new PackedLayout(bits, ROWS, COLUMNS, group);
    double[] h = hessian(inputs);
    try (WorkerThreads workers = new WorkerThreads(2)) {
      double nearest = error(NearestRounding.round(weights, layout, false, workers).toFloats(), h);
      double natural = error(feedback(natural(), h, GroupRange.STATIC, layout, workers), h);
      double dynamic = error(feedback(natural(), h, GroupRange.DYNAMIC, layout, workers), h);
      double largest = error(feedback(largestFirst(h), h, GroupRange.STATIC, layout, workers), h);
      assertTrue(natural < 0.7 * nearest, natural + " of " + nearest + " " + Draws.seed());
      assertTrue(dynamic < 0.7 * nearest, dynamic + " of " + nearest + " " + Draws.seed());
      assertTrue(largest < 0.7 * nearest, largest + " of " + nearest + " " + Draws.seed());
      // The Hessian of other channels helps nothing: what is gained is gained by correlation.
      double[] other = hessian(new Draws().gaussian(TOKENS * COLUMNS));
      double wrong = error(feedback(natural(), other, GroupRange.STATIC, layout, workers), h);
      assertTrue(wrong > natural, wrong + " and " + natural + " " + Draws.seed());
    }
  }

  @Test
  void deadChannelsAreRoundedToNearest() {
    PackedLayout layout = new PackedLayout(4, ROWS, COLUMNS, 0);
    float[] dead = inputs.clone();
    for (int t = 0; t < TOKENS; t++) {
      dead[t * COLUMNS + 5] = 0;
    }
    try (WorkerThreads workers = new WorkerThreads(1)) {
      float[] nearest = NearestRounding.round(weights, layout, false, workers).toFloats();
      float[] found = feedback(natural(), hessian(dead), GroupRange.STATIC, layout, workers);
      for (int row = 0; row < ROWS; row++) {
        assertEquals(nearest[row * COLUMNS + 5], found[row * COLUMNS + 5], Draws.seed());
      }
    }
  }

  private float[] feedback(
      int[] order, double[] h, GroupRange range, PackedLayout layout, WorkerThreads workers) {
    return new ErrorFeedback(order, Gptq.factor(h, order, workers), NO_DRIFT, range, 128)
        .round(weights, layout, false, workers)
        .toFloats();
  }

  private static void assertSame(QuantizedLinear expected, QuantizedLinear found) {
    assertArrayEquals(expected.scales(), found.scales(), Draws.seed());
    assertArrayEquals(expected.zeros(), found.zeros(), Draws.seed());
    assertArrayEquals(expected.codes(), found.codes(), Draws.seed());
  }

  private static int[] natural() {
    return IntStream.range(0, COLUMNS).toArray();
  }

  private static int[] largestFirst(double[] h) {
    return Arrays.stream(natural())
        .boxed()
        .sorted(Comparator.comparingDouble(i -> -h[i * COLUMNS + i]))
        .mapToInt(i -> i)
        .toArray();
  }

  private static double[] hessian(float[] x) {
    double[] h = new double[COLUMNS * COLUMNS];
    for (int t = 0; t < TOKENS; t++) {
      for (int i = 0; i < COLUMNS; i++) {
        for (int j = 0; j < COLUMNS; j++) {
          h[i * COLUMNS + j] += (double) x[t * COLUMNS + i] * x[t * COLUMNS + j];
        }
      }
    }
    return h;
  }

  private static double[] upper(float[] x) {
    double[] drift = new double[x.length];
    for (int i = 0; i < COLUMNS; i++) {
      for (int j = i + 1; j < COLUMNS; j++) {
        drift[i * COLUMNS + j] = 0.01 * x[i * COLUMNS + j];
      }
    }
    return drift;
  }

  /** tr(D H D^T) for D = found - weights. */
  private double error(float[] found, double[] h) {
    double error = 0;
    for (int row = 0; row < ROWS; row++) {
      for (int i = 0; i < COLUMNS; i++) {
        double di = found[row * COLUMNS + i] - weights[row * COLUMNS + i];
        for (int j = 0; j < COLUMNS; j++) {
          error +=
              di * h[i * COLUMNS + j] * (found[row * COLUMNS + j] - weights[row * COLUMNS + j]);
        }
      }
    }
    return error;
  }
}
