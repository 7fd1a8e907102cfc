package dev.nibble.quantizer.method;

import dev.nibble.quantizer.format.PackedLayout;

/**
 * Codes of one group's range, in the arithmetic of every method: h rounded to fp16 before it is
 * used, rounding half to even, dividing.
 *
 * <p>Asymmetric: h = (max - min) / (2^b - 1), z = round(-min / h), q = clamp(round(w / h) + z, 0,
 * 2^b - 1), the range forced to include 0. Symmetric: h = max|w| / (2^(b-1) - 1), z = 2^(b-1). A
 * group of zeros has scale 0; one whose h is too small for fp16 has the smallest fp16 there is.
 *
 * @param bits code width
 * @param symmetric whether codes lie about a fixed zero
 */
record WeightGrid(int bits, boolean symmetric) {
  private static final short SMALLEST_HALF = 1;

  /** The grid of a layout's codes. */
  static WeightGrid of(PackedLayout layout, boolean symmetric) {
    return new WeightGrid(layout.bits(), symmetric);
  }

  /** The largest code. */
  int levels() {
    return (1 << bits) - 1;
  }

  /**
   * The step of a range.
   *
   * @param min at most 0
   * @param max at least 0
   * @return fp16 bits
   * @throws ArithmeticException if it is too large for fp16
   */
  short step(float min, float max) {
    float range = symmetric ? Math.max(-min, max) : max - min;
    float h = range / (symmetric ? (1 << (bits - 1)) - 1 : levels());
    short half = Float.floatToFloat16(h);
    if (!Float.isFinite(Float.float16ToFloat(half))) {
      throw new ArithmeticException("scale " + h + " is too large for fp16");
    }
    return half == 0 && h > 0 ? SMALLEST_HALF : half;
  }

  /** The zero point of a range with step {@code h}. */
  int zero(float min, float h) {
    return symmetric ? 1 << (bits - 1) : h == 0 ? 0 : clamp((int) Math.rint(-min / h));
  }

  /** The code of a weight. */
  int code(float w, float h, int zero) {
    return h == 0 ? zero : clamp((int) Math.rint(w / h) + zero);
  }

  private int clamp(int code) {
    return Math.clamp(code, 0, levels());
  }
}
