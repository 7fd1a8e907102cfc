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

  /** out = the values that the codes of a run stand for. */
  static void restore(float[] x, int offset, int length, int bits, float[] out) {
    float min = min(x, offset, length);
    float step = step(min, max(x, offset, length), bits);
    float zero = zero(min, step);
    float largest = (1 << bits) - 1;
    for (int i = offset; i < offset + length; i++) {
      out[i] = (code(x[i], step, zero, largest) - zero) * step;
    }
  }

  /** As {@link #restore}, with the step and the minimum rounded to fp16 as a cache keeps them. */
  static void restoreCached(float[] x, int offset, int length, int bits, float[] out) {
    float min = min(x, offset, length);
    float step = half(step(min, max(x, offset, length), bits));
    float zero = zero(min, step);
    float minimum = half(-zero * step);
    float largest = (1 << bits) - 1;
    for (int i = offset; i < offset + length; i++) {
      out[i] = Math.fma(code(x[i], step, zero, largest), step, minimum);
    }
  }

  /**
   * The gradient through {@link #restore} with roundings passed straight through and the zero held
   * fixed: codes in range pass theirs on, and all of them move the step, which the largest and the
   * smallest element share.
   *
   * @param dout gradient of the values
   * @param dx receives the gradient of x; may be dout
   */
  static void gradient(float[] x, int offset, int length, int bits, float[] dout, float[] dx) {
    float min = min(x, offset, length);
    float max = max(x, offset, length);
    gradient(x, offset, length, bits, min, max, step(min, max, bits), dout, dx);
  }

  /** As {@link #gradient}, of {@link #restoreCached}. */
  static void gradientCached(
      float[] x, int offset, int length, int bits, float[] dout, float[] dx) {
    float min = min(x, offset, length);
    float max = max(x, offset, length);
    gradient(x, offset, length, bits, min, max, half(step(min, max, bits)), dout, dx);
  }

  private static void gradient(
      float[] x,
      int offset,
      int length,
      int bits,
      float min,
      float max,
      float step,
      float[] dout,
      float[] dx) {
    float largest = (1 << bits) - 1;
    float zero = zero(min, step);
    double dstep = 0;
    int smallestAt = -1;
    int largestAt = -1;
    for (int i = offset; i < offset + length; i++) {
      float d = dout[i];
      float shifted = (float) Math.rint(x[i] / step) + zero;
      if (shifted >= 0 && shifted <= largest) {
        dstep += d * (shifted - zero - x[i] / step);
        dx[i] = d;
      } else {
        dstep += d * ((shifted < 0 ? 0 : largest) - zero);
        dx[i] = 0;
      }
      smallestAt = smallestAt < 0 && x[i] == min ? i : smallestAt;
      largestAt = largestAt < 0 && x[i] == max ? i : largestAt;
    }
    float range = max - min;
    boolean moves = range > SMALLEST_STEP * largest && range < LARGEST_STEP * largest;
    if (moves && smallestAt >= 0 && largestAt >= 0) {
      dx[largestAt] += (float) (dstep / largest);
      dx[smallestAt] -= (float) (dstep / largest);
    }
  }

  private static float half(float x) {
    return Float.float16ToFloat(Float.floatToFloat16(x));
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
