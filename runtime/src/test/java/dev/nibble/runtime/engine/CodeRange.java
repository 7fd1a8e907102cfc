package dev.nibble.runtime.engine;

/**
 * What codes stand for: a value is about step (code - zero).
 *
 * @param step from one code to the next
 * @param zero the code of 0
 * @param largest code
 */
record CodeRange(float step, float zero, float largest) {
  private static final float SMALLEST_STEP = 1e-5f;
  private static final float LARGEST_STEP = 1e4f;

  /** From the smallest of some values to the largest. */
  static CodeRange of(float[] x, int from, int count, int bits) {
    return of(x, from, count, bits, false);
  }

  /** With a step that is a half. */
  static CodeRange ofHalf(float[] x, int from, int count, int bits) {
    return of(x, from, count, bits, true);
  }

  private static CodeRange of(float[] x, int from, int count, int bits, boolean half) {
    float low = x[from];
    float high = x[from];
    for (int i = from; i < from + count; i++) {
      low = Math.min(low, x[i]);
      high = Math.max(high, x[i]);
    }
    float largest = (1 << bits) - 1;
    float step = Math.clamp((high - low) / largest, SMALLEST_STEP, LARGEST_STEP);
    float kept = half ? TensorCore.Halves.round(step) : step;
    return new CodeRange(kept, (float) Math.rint(-low / kept), largest);
  }

  float code(float x) {
    return Math.clamp((float) Math.rint(x / step) + zero, 0, largest);
  }
}
