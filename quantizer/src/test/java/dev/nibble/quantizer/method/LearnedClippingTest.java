package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LearnedClippingTest {
  private static final long SEED = Long.getLong("tests.seed", 20_261_122L);
  private static final String HINT = "-Dtests.seed=" + SEED;

  private final WorkerThreads workers = new WorkerThreads(2);

  @AfterEach
  void close() {
    workers.close();
  }

  @ParameterizedTest
  @CsvSource({
    "2, 7, 65, 64, false",
    "3, 33, 128, 0, false",
    "4, 16, 96, 32, true",
    "8, 3, 31, 0, true"
  })
  void wideOpenItRoundsToNearest(int bits, int rows, int columns, int group, boolean symmetric) {
    PackedLayout layout = new PackedLayout(bits, rows, columns, group);
    float[] weights = weights(layout);
    QuantizedLinear expected = NearestRounding.round(weights, layout, symmetric, workers);
    QuantizedLinear found = new LearnedClipping(layout, symmetric, 20, workers).freeze(weights);
    assertArrayEquals(expected.scales(), found.scales(), HINT);
    assertArrayEquals(expected.zeros(), found.zeros(), HINT);
    assertArrayEquals(expected.codes(), found.codes(), HINT);
    QuantizedLinear narrower = new LearnedClipping(layout, symmetric, 4, workers).freeze(weights);
    assertFalse(Arrays.equals(expected.scales(), narrower.scales()), HINT);
  }

  @ParameterizedTest
  @CsvSource({"2, 64, false", "3, 0, false", "4, 32, true"})
  void trainsWithWhatItPacks(int bits, int group, boolean symmetric) {
    PackedLayout layout = new PackedLayout(bits, 9, 130, group);
    float[] weights = weights(layout);
    LearnedClipping clipping = new LearnedClipping(layout, symmetric, 1, workers);
    float[] rounded = new float[weights.length];
    clipping.round(weights, rounded);
    assertArrayEquals(clipping.freeze(weights).toFloats(), rounded, HINT);
  }

  /** Against differences of the function with zeros, residues and clamped codes held. */
  @ParameterizedTest
  @CsvSource({"2, 64, false", "3, 0, false", "4, 32, true", "3, 32, true"})
  void gradientEqualsFiniteDifferences(int bits, int group, boolean symmetric) {
    PackedLayout layout = new PackedLayout(bits, 5, 97, group);
    Random random = new Random(SEED);
    float[] weights = weights(layout);
    float[] upstream = new float[weights.length];
    for (int i = 0; i < upstream.length; i++) {
      upstream[i] = (float) random.nextGaussian();
    }
    LearnedClipping clipping = new LearnedClipping(layout, symmetric, 0.7f, workers);
    Frozen frozen = new Frozen(layout, symmetric, weights, clipping);
    float[] gradient = upstream.clone();
    clipping.backward(weights, gradient);
    double[] w = new double[weights.length];
    for (int i = 0; i < w.length; i++) {
      w[i] = weights[i];
    }
    double[] up = doubles(clipping.parameters().get(0).value);
    double[] low = doubles(clipping.parameters().get(1).value);
    double[][] parameters = {w, up, low};
    float[][] found = {
      gradient, clipping.parameters().get(0).gradient, clipping.parameters().get(1).gradient
    };
    for (int p = 0; p < parameters.length; p++) {
      for (int i = 0; i < parameters[p].length; i++) {
        double step = 1e-6;
        parameters[p][i] += step;
        double more = frozen.dot(w, up, low, upstream);
        parameters[p][i] -= 2 * step;
        double less = frozen.dot(w, up, low, upstream);
        parameters[p][i] += step;
        double expected = (more - less) / (2 * step);
        assertEquals(expected, found[p][i], 2e-3 * (1 + Math.abs(expected)), p + " " + i + HINT);
      }
    }
  }

  /** The rounding in double, as a smooth function of weights and clipping. */
  private static final class Frozen {
    private final PackedLayout layout;
    private final boolean symmetric;
    private final int group;

    /** Zero, step over its exact value, one a group. */
    private final double[] zeros;

    private final double[] ratios;
    private final double[] residues;
    private final boolean[] clamped;

    Frozen(PackedLayout layout, boolean symmetric, float[] weights, LearnedClipping clipping) {
      this.layout = layout;
      this.symmetric = symmetric;
      group = layout.groupSize() == 0 ? layout.columns() : layout.groupSize();
      QuantizedLinear codes = clipping.freeze(weights);
      zeros = new double[codes.zeros().length];
      ratios = new double[zeros.length];
      residues = new double[weights.length];
      clamped = new boolean[weights.length];
      double[] w = doubles(weights);
      double[] up = doubles(clipping.parameters().get(0).value);
      double[] low = doubles(clipping.parameters().get(1).value);
      for (int g = 0; g < zeros.length; g++) {
        double step = Float.float16ToFloat(codes.scales()[g]);
        zeros[g] = codes.zeros()[g] & 0xff;
        ratios[g] = step / exactStep(w, up, low, g);
        for (int i = begin(g); i < end(g); i++) {
          double code = Math.rint(weights[i] / (float) step) + zeros[g];
          clamped[i] = code < 0 || code >= 1 << layout.bits();
          residues[i] =
              clamped[i]
                  ? (codes.codes()[i] & 0xff) - zeros[g]
                  : code - zeros[g] - weights[i] / step;
        }
      }
    }

    double dot(double[] w, double[] up, double[] low, float[] upstream) {
      double sum = 0;
      for (int g = 0; g < zeros.length; g++) {
        double step = exactStep(w, up, low, g) * ratios[g];
        for (int i = begin(g); i < end(g); i++) {
          double q = clamped[i] ? residues[i] : w[i] / step + residues[i];
          sum += upstream[i] * q * step;
        }
      }
      return sum;
    }

    private int begin(int g) {
      return g / layout.groups() * layout.columns() + g % layout.groups() * group;
    }

    private int end(int g) {
      return Math.min(begin(g) + group, (g / layout.groups() + 1) * layout.columns());
    }

    private double exactStep(double[] w, double[] up, double[] low, int g) {
      double min = 0;
      double max = 0;
      for (int i = begin(g); i < end(g); i++) {
        min = Math.min(min, w[i]);
        max = Math.max(max, w[i]);
      }
      double top = max / (1 + Math.exp(-up[g]));
      double bottom = min / (1 + Math.exp(-low[g]));
      return symmetric
          ? Math.max(top, -bottom) / ((1 << (layout.bits() - 1)) - 1)
          : (top - bottom) / ((1 << layout.bits()) - 1);
    }
  }

  private static double[] doubles(float[] x) {
    double[] y = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      y[i] = x[i];
    }
    return y;
  }

  private static float[] weights(PackedLayout layout) {
    Random random = new Random(SEED + layout.bits());
    float[] weights = new float[layout.rows() * layout.columns()];
    for (int i = 0; i < weights.length; i++) {
      weights[i] = (float) random.nextGaussian();
    }
    return weights;
  }
}
