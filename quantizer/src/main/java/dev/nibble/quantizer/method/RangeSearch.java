package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.tensor.WorkerThreads;

/**
 * Rounds weights to nearest on the range, of those cut by 0 to 79 per cent, that makes the least
 * squared error of the weights of a group; the grid that AdaRound's paper starts from.
 */
final class RangeSearch {
  static final String SETTING = "least squares";
  private static final int STEPS = 80;
  private static final double STEP = 0.01;

  private RangeSearch() {}

  /**
   * Rounds a linear.
   *
   * @param weights [rows, columns]
   * @throws ArithmeticException if a scale is too large for fp16
   */
  static QuantizedLinear round(
      float[] weights, PackedLayout layout, boolean symmetric, WorkerThreads workers) {
    QuantizedLinear linear = QuantizedLinear.empty(layout, symmetric);
    WeightGrid grid = WeightGrid.of(layout, symmetric);
    int group = linear.groupColumns();
    workers.run(
        layout.rows(),
        (from, to, worker) -> {
          for (int at = from * layout.groups(); at < to * layout.groups(); at++) {
            int row = at / layout.groups();
            int first = row * layout.columns() + at % layout.groups() * group;
            int end = Math.min(first + group, (row + 1) * layout.columns());
            round(weights, first, end, grid, linear, at);
          }
        });
    return linear;
  }

  private static void round(
      float[] weights, int first, int end, WeightGrid grid, QuantizedLinear linear, int at) {
    float min = 0;
    float max = 0;
    for (int i = first; i < end; i++) {
      min = Math.min(min, weights[i]);
      max = Math.max(max, weights[i]);
    }
    double least = Double.POSITIVE_INFINITY;
    for (int step = 0; step < STEPS; step++) {
      float share = (float) (1 - step * STEP);
      short half = grid.step(min * share, max * share);
      float h = Float.float16ToFloat(half);
      int zero = grid.zero(min * share, h);
      double error = 0;
      for (int i = first; i < end; i++) {
        double d = (double) weights[i] - (grid.code(weights[i], h, zero) - zero) * h;
        error += d * d;
      }
      if (error < least) {
        least = error;
        linear.scales()[at] = half;
        linear.zeros()[at] = (byte) zero;
      }
    }
    float h = Float.float16ToFloat(linear.scales()[at]);
    int zero = linear.zeros()[at] & 0xff;
    for (int i = first; i < end; i++) {
      linear.codes()[i] = (byte) grid.code(weights[i], h, zero);
    }
  }
}
