package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.tensor.WorkerThreads;

/** Rounds weights in memory to the nearest code, as {@link Rtn} does those of a file. */
final class NearestRounding {
  private NearestRounding() {}

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
          for (int row = from; row < to; row++) {
            for (int first = 0; first < layout.columns(); first += group) {
              int begin = row * layout.columns() + first;
              int end = begin + Math.min(group, layout.columns() - first);
              int at = row * layout.groups() + first / group;
              round(weights, begin, end, WeightRange.of(weights, begin, end), grid, linear, at);
            }
          }
        });
    return linear;
  }

  /** Rounds the weights [begin, end) of scale {@code at} on a range. */
  static void round(
      float[] weights,
      int begin,
      int end,
      WeightRange range,
      WeightGrid grid,
      QuantizedLinear linear,
      int at) {
    short half = grid.step(range.min(), range.max());
    float h = Float.float16ToFloat(half);
    int zero = grid.zero(range.min(), h);
    linear.scales()[at] = half;
    linear.zeros()[at] = (byte) zero;
    for (int i = begin; i < end; i++) {
      linear.codes()[i] = (byte) grid.code(weights[i], h, zero);
    }
  }
}
