package dev.nibble.runtime.engine;

import java.util.Arrays;

/**
 * Sums of products of halves as tensor cores of compute capability 9.0 add them: 16 at a time and
 * the sum so far, each cut 25 bits below the largest exponent, what they add up to cut to a float
 * (Xie et al., MMA-Sim: Bit-Accurate Reference Model of Tensor Cores and Matrix Cores, 2025).
 */
final class TensorCore {
  private static final int DEPTH = 16;
  private static final int FRACTION = 25;

  private TensorCore() {}

  /** Numbers of 16 bits. */
  static final class Halves {
    private static final int LEAST_EXPONENT = -14;
    private static final byte OF_ZERO = -128;

    private final float[] values;
    private final byte[] exponents;

    /** So many zeros. */
    Halves(int count) {
      values = new float[count];
      exponents = new byte[count];
      Arrays.fill(exponents, OF_ZERO);
    }

    /** Rounds floats. */
    static Halves of(float[] x, int from, int count) {
      Halves halves = new Halves(count);
      for (int i = 0; i < count; i++) {
        halves.set(i, x[from + i]);
      }
      return halves;
    }

    void set(int i, float x) {
      float half = round(x);
      values[i] = half;
      exponents[i] = half == 0 ? OF_ZERO : (byte) Math.max(Math.getExponent(half), LEAST_EXPONENT);
    }

    static float round(float x) {
      return Float.float16ToFloat(Float.floatToFloat16(x));
    }
  }

  /** sum + x[from, from + count) w[wFrom, wFrom + count). */
  static float add(float sum, Halves x, int from, Halves w, int wFrom, int count) {
    float result = sum;
    for (int i = 0; i < count; i += DEPTH) {
      result = addBlock(result, x, from + i, w, wFrom + i, Math.min(DEPTH, count - i));
    }
    return result;
  }

  private static float addBlock(float sum, Halves x, int from, Halves w, int wFrom, int count) {
    int exponent = Math.getExponent(sum);
    for (int i = 0; i < count; i++) {
      exponent = Math.max(exponent, x.exponents[from + i] + w.exponents[wFrom + i]);
    }
    double units = Math.scalb(1.0, FRACTION - exponent);
    long total = (long) (sum * units);
    for (int i = 0; i < count; i++) {
      total += (long) (x.values[from + i] * w.values[wFrom + i] * units);
    }
    double exact = total / units;
    float nearest = (float) exact;
    return Math.abs(nearest) > Math.abs(exact)
        ? Math.copySign(Math.nextDown(Math.abs(nearest)), nearest)
        : nearest;
  }
}
