package dev.nibble.quantizer.method;

import dev.nibble.quantizer.format.PackedLayout;

/**
 * Round to nearest: each group's codes span its own range, without calibration.
 *
 * <p>Asymmetric, the range forced to include 0: h = (max - min) / (2^b - 1), z = round(-min / h), q
 * = clamp(round(w / h) + z, 0, 2^b - 1). Symmetric: h = max|w| / (2^(b-1) - 1), q = clamp(round(w /
 * h), -2^(b-1), 2^(b-1) - 1) + 2^(b-1). All in float, rounded half to even, with h rounded to fp16
 * before it is used. A group of zeros has scale 0; one whose h is too small for fp16 has the
 * smallest fp16 there is.
 */
final class Rtn {
  private static final short SMALLEST_HALF = 1;

  private final PackedLayout layout;
  private final boolean symmetric;
  private final int levels;

  private Rtn(PackedLayout layout, boolean symmetric) {
    this.layout = layout;
    this.symmetric = symmetric;
    levels = (1 << layout.bits()) - 1;
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
    int impliedZero = layout.impliedZero();
    float range = symmetric ? Math.max(-min, max) : max - min;
    short half = roundToHalf(range / (symmetric ? impliedZero - 1 : levels), first);
    float h = Float.float16ToFloat(half);
    int zero = symmetric ? impliedZero : h == 0 ? 0 : clamp((int) Math.rint(-min / h));
    int at = Math.toIntExact(layout.scaleIndex(row, layout.group(first)));
    block.scales[at] = half;
    block.zeros[at] = (byte) zero;
    int codes = row * layout.paddedColumns();
    double squaredError = 0;
    double squaredNorm = 0;
    for (int c = first; c < end; c++) {
      float w = weights[c];
      int code = h == 0 ? zero : clamp((int) Math.rint(w / h) + zero);
      block.codes[codes + c] = (byte) code;
      double error = w - (double) (code - zero) * h;
      squaredError += error * error;
      squaredNorm += (double) w * w;
    }
    block.squaredError += squaredError;
    block.squaredNorm += squaredNorm;
  }

  private int clamp(int code) {
    return Math.clamp(code, 0, levels);
  }

  private static short roundToHalf(float h, int column) {
    short half = Float.floatToFloat16(h);
    if (Float.isInfinite(Float.float16ToFloat(half))) {
      throw new ArithmeticException(
          "scale " + h + " of the group at input channel " + column + " is too large for fp16");
    }
    return half == 0 && h > 0 ? SMALLEST_HALF : half;
  }
}
