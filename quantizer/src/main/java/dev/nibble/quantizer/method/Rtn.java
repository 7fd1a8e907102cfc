package dev.nibble.quantizer.method;

import dev.nibble.quantizer.format.PackedLayout;

/**
 * Round to nearest: each group's codes span its own range, without calibration. {@link WeightGrid}
 * has the arithmetic.
 */
final class Rtn {
  private final PackedLayout layout;
  private final WeightGrid grid;

  private Rtn(PackedLayout layout, boolean symmetric) {
    this.layout = layout;
    grid = WeightGrid.of(layout, symmetric);
  }

  /** Rounding with a zero point for each group. */
  static Rtn asymmetric(PackedLayout layout) {
    return new Rtn(layout, false);
  }

  /** Rounding about 0. */
  static Rtn symmetric(PackedLayout layout) {
    return new Rtn(layout, true);
  }

  /**
   * Quantizes one row.
   *
   * @param weights [columns]
   * @param row where it goes in the block, 0 to 63
   * @param block receives codes, scales, zeros and the error
   * @throws ArithmeticException if a weight is not finite, or its scale too large for fp16
   */
  void quantize(float[] weights, int row, RowBlock block) {
    int group = layout.groupSize() == 0 ? layout.columns() : layout.groupSize();
    for (int first = 0; first < layout.columns(); first += group) {
      int end = Math.min(first + group, layout.columns());
      quantizeGroup(weights, first, end, row, block);
    }
  }

  private void quantizeGroup(float[] weights, int first, int end, int row, RowBlock block) {
    float min = 0;
    float max = 0;
    for (int c = first; c < end; c++) {
      float w = weights[c];
      if (!Float.isFinite(w)) {
        throw new ArithmeticException("weight " + w + " at input channel " + c);
      }
      min = Math.min(min, w);
      max = Math.max(max, w);
    }
    short half = step(min, max, first);
    float h = Float.float16ToFloat(half);
    int zero = grid.zero(min, h);
    int at = Math.toIntExact(layout.scaleIndex(row, layout.group(first)));
    block.scales[at] = half;
    block.zeros[at] = (byte) zero;
    int codes = row * layout.paddedColumns();
    double squaredError = 0;
    double squaredNorm = 0;
    for (int c = first; c < end; c++) {
      float w = weights[c];
      int code = grid.code(w, h, zero);
      block.codes[codes + c] = (byte) code;
      double error = w - (double) (code - zero) * h;
      squaredError += error * error;
      squaredNorm += (double) w * w;
    }
    block.squaredError += squaredError;
    block.squaredNorm += squaredNorm;
  }

  private short step(float min, float max, int column) {
    try {
      return grid.step(min, max);
    } catch (ArithmeticException e) {
      throw new ArithmeticException(e.getMessage() + " in the group at input channel " + column);
    }
  }
}
