package dev.nibble.quantizer.tensor;

/**
 * Min-max quantization of a run of floats: step h = (max - min) / (2^bits - 1) within [1e-5, 1e4],
 * zero = round(-min / h), code = clamp(round(x / h) + zero, 0, 2^bits - 1). All of it in float,
 * rounding half to even and dividing, so that codes equal those of other implementations.
 */
final class RowQuantizer {
  static final float SMALLEST_STEP = 1e-5f;
  static final float LARGEST_STEP = 1e4f;

  private RowQuantizer() {}

  /** out[to..] = the values that the codes of x[offset..] stand for. */
  static void restore(float[] x, int offset, int length, int bits, float[] out, int to) {
    float min = min(x, offset, length);
    float step = step(min, max(x, offset, length), bits);
    float zero = zero(min, step);
    float largest = (1 << bits) - 1;
    for (int i = 0; i < length; i++) {
      out[to + i] = (code(x[offset + i], step, zero, largest) - zero) * step;
    }
  }

  /**
   * As {@link #restore}, in the packed cache's arithmetic: the step and the minimum are rounded to
   * fp16.
   */
  static void restoreCached(float[] x, int offset, int length, int bits) {
    float min = min(x, offset, length);
    float step = step(min, max(x, offset, length), bits);
    float rounded = Float.float16ToFloat(Float.floatToFloat16(step));
    float zero = zero(min, rounded);
    float minimum = Float.float16ToFloat(Float.floatToFloat16(-zero * rounded));
    float largest = (1 << bits) - 1;
    for (int i = offset; i < offset + length; i++) {
      x[i] = Math.fma(code(x[i], rounded, zero, largest), rounded, minimum);
    }
  }

  static float min(float[] x, int offset, int length) {
    float min = x[offset];
    for (int i = 1; i < length; i++) {
      min = Math.min(min, x[offset + i]);
    }
    return min;
  }

  static float max(float[] x, int offset, int length) {
    float max = x[offset];
    for (int i = 1; i < length; i++) {
      max = Math.max(max, x[offset + i]);
    }
    return max;
  }

  static float step(float min, float max, int bits) {
    return clampStep((max - min) / ((1 << bits) - 1));
  }

  /** The step of symmetric codes, whose largest is 2^(bits-1) - 1. */
  static float symmetricStep(float min, float max, int bits) {
    return clampStep(Math.max(-min, max) / ((1 << (bits - 1)) - 1));
  }

  static float zero(float min, float step) {
    return (float) Math.rint(-min / step);
  }

  /** A code as a float, 0 to {@code largest}; NaN when x, step or zero are. */
  static float code(float x, float step, float zero, float largest) {
    float rounded = (float) Math.rint(x / step);
    return Math.max(0f, Math.min(largest, rounded + zero));
  }

  private static float clampStep(float step) {
    return Math.max(SMALLEST_STEP, Math.min(LARGEST_STEP, step));
  }
}
