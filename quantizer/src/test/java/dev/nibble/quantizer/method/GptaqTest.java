package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class GptaqTest {
  private static final int ROWS = 24;
  private static final int COLUMNS = 70;
  private static final int TOKENS = 300;

  @Test
  void driftIsThePapersProduct() {
    Draws draws = new Draws();
    float[] d = draws.gaussian(COLUMNS * COLUMNS);
    float[] x = draws.correlated(TOKENS, COLUMNS);
    try (WorkerThreads workers = new WorkerThreads(2)) {
      InputProducts products = new InputProducts(COLUMNS, workers);
      products.addSquare(x);
      int[] order = Gptq.DEFAULT.columns(products.sums(), COLUMNS);
      double[] u = Gptq.factor(products.sums(), order, workers);
      double[] found = Gptaq.DEFAULT.drift(doubles(d), order, u, workers);
      double[] inner = new double[COLUMNS * COLUMNS];
      for (int i = 0; i < COLUMNS; i++) {
        for (int k = i + 1; k < COLUMNS; k++) {
          for (int j = 0; j < COLUMNS; j++) {
            inner[i * COLUMNS + k] += d[order[i] * COLUMNS + order[j]] * u[k * COLUMNS + j];
          }
        }
      }
      for (int i = 0; i < COLUMNS; i++) {
        for (int j = 0; j < COLUMNS; j++) {
          double sum = 0;
          for (int k = 0; k < COLUMNS; k++) {
            sum += 0.25 * inner[i * COLUMNS + k] * u[k * COLUMNS + j];
          }
          assertEquals(sum, found[i * COLUMNS + j], 1e-9 * (1 + Math.abs(sum)), Draws.seed());
        }
      }
    }
  }

  @Test
  void comesCloserToTheFullPrecisionOutputs() {
    Draws draws = new Draws();
    float[] weights = draws.gaussian(ROWS * COLUMNS);
    float[] full = draws.correlated(TOKENS, COLUMNS);
    float[] x = full.clone();
    for (int t = 0; t < TOKENS; t++) {
      for (int c = 1; c < COLUMNS; c++) {
        x[t * COLUMNS + c] += 0.2f * (full[t * COLUMNS + c - 1] - x[t * COLUMNS + c]);
      }
    }
    float[] difference = new float[x.length];
    for (int i = 0; i < x.length; i++) {
      difference[i] = full[i] - x[i];
    }
    PackedLayout layout = new PackedLayout(4, ROWS, COLUMNS, 0);
    try (WorkerThreads workers = new WorkerThreads(2)) {
      InputProducts hessian = new InputProducts(COLUMNS, workers);
      InputProducts differences = new InputProducts(COLUMNS, workers);
      hessian.addSquare(x);
      differences.add(difference, x);
      int[] order = Gptq.DEFAULT.columns(hessian.sums(), COLUMNS);
      double[] u = Gptq.factor(hessian.sums(), order, workers);
      double symmetric =
          error(round(weights, order, u, new double[0], layout, workers), x, weights, full);
      double[] drift = new Gptaq(Gptq.DEFAULT, 1).drift(differences.sums(), order, u, workers);
      double asymmetric = error(round(weights, order, u, drift, layout, workers), x, weights, full);
      assertTrue(asymmetric < 0.9 * symmetric, asymmetric + ", " + symmetric + Draws.seed());
      double[] none = Gptaq.DEFAULT.drift(new double[u.length], order, u, workers);
      assertArrayEquals(
          round(weights, order, u, new double[0], layout, workers),
          round(weights, order, u, none, layout, workers));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama3", "opt"})
  void withoutStrengthIsGptq(String model) throws IOException {
    try (SampleBlock sample = new SampleBlock(model)) {
      BlockTask task = sample.task(sample.block, "W3A8");
      Map<LinearRole, QuantizedLinear> expected = linears(Gptq.DEFAULT, task);
      Map<LinearRole, QuantizedLinear> found = linears(new Gptaq(Gptq.DEFAULT, 0), task);
      Map<LinearRole, QuantizedLinear> other = linears(Gptaq.DEFAULT, task);
      boolean differs = false;
      for (LinearRole role : sample.block.roles()) {
        assertArrayEquals(expected.get(role).codes(), found.get(role).codes(), role.name());
        differs |= !Arrays.equals(expected.get(role).codes(), other.get(role).codes());
      }
      assertTrue(differs, "the drift must change some code");
    }
  }

  /**
   * The first site of a first block reads the full-precision model's own inputs; later ones not.
   */
  @Test
  void withoutDriftIsGptq() throws IOException {
    try (SampleBlock sample = new SampleBlock("llama3")) {
      BlockTask task = sample.task(sample.block, "W3A16");
      Map<LinearRole, QuantizedLinear> expected = linears(Gptq.DEFAULT, task);
      Map<LinearRole, QuantizedLinear> found = linears(Gptaq.DEFAULT, task);
      for (LinearRole role : List.of(LinearRole.QUERY, LinearRole.KEY, LinearRole.VALUE)) {
        assertArrayEquals(expected.get(role).codes(), found.get(role).codes(), role.name());
      }
      byte[] down = expected.get(LinearRole.DOWN).codes();
      assertFalse(Arrays.equals(down, found.get(LinearRole.DOWN).codes()), "there is a drift");
    }
  }

  private static Map<LinearRole, QuantizedLinear> linears(BlockRounding rounding, BlockTask task) {
    return rounding.round(task, task.block()).linears();
  }

  private static float[] round(
      float[] weights,
      int[] order,
      double[] u,
      double[] drift,
      PackedLayout layout,
      WorkerThreads workers) {
    return new ErrorFeedback(order, u, drift, ErrorFeedback.GroupRange.STATIC, 128)
        .round(weights, layout, false, workers)
        .toFloats();
  }

  /** Squared error of found x against weights full. */
  private static double error(float[] found, float[] x, float[] weights, float[] full) {
    double error = 0;
    for (int t = 0; t < TOKENS; t++) {
      for (int row = 0; row < ROWS; row++) {
        double d = 0;
        for (int c = 0; c < COLUMNS; c++) {
          d += (double) found[row * COLUMNS + c] * x[t * COLUMNS + c];
          d -= (double) weights[row * COLUMNS + c] * full[t * COLUMNS + c];
        }
        error += d * d;
      }
    }
    return error;
  }

  private static double[] doubles(float[] x) {
    double[] values = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      values[i] = x[i];
    }
    return values;
  }
}
