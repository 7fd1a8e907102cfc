package dev.nibble.quantizer.tensor;

import static dev.nibble.quantizer.tensor.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/** Functions of floats, vector by vector. The same input gives the same bits in any lane. */
final class VectorMath {
  /**
   * Adding it rounds |x| below {@link #ROUND_LIMIT} to an integer, half to even, which the low bits
   * then hold; subtracting it again gives that integer as a float.
   */
  static final float ROUNDER = 0x1.8p23f;

  /** Where adding {@link #ROUNDER} no longer rounds. */
  static final float ROUND_LIMIT = 0x1p22f;

  private static final FloatVector LOWEST = all(-104f);
  private static final FloatVector HIGHEST = all(89f);
  private static final FloatVector SHIFTER = all(ROUNDER);
  private static final FloatVector LOG2_E = all(1.442695f);
  private static final FloatVector MINUS_LN2_HIGH = all(-0x1.63p-1f);
  private static final FloatVector MINUS_LN2_LOW = all(0.00021219444f);
  private static final FloatVector E7 = all(0.00019875691f);
  private static final FloatVector E6 = all(0.0013981999f);
  private static final FloatVector E5 = all(0.008333452f);
  private static final FloatVector E4 = all(0.041665796f);
  private static final FloatVector E3 = all(0.16666666f);
  private static final FloatVector HALF = all(0.5f);
  private static final FloatVector ONE = all(1f);
  private static final IntVector SHIFTER_BITS = SHIFTER.reinterpretAsInts();
  private static final IntVector BIAS = IntVector.broadcast(Lanes.INTS, 127);

  private static final float ROOT_HALF = (float) Math.sqrt(0.5);
  private static final float P = 0.3275911f;
  private static final float A5 = 1.0614054f;
  private static final float A4 = -1.4531521f;
  private static final float A3 = 1.4214138f;
  private static final float A2 = -0.28449672f;
  private static final float A1 = 0.2548296f;

  private VectorMath() {}

  private static FloatVector all(float value) {
    return FloatVector.broadcast(FLOATS, value);
  }

  /**
   * Replaces x by e^x within 2 units of the last place: x = n ln 2 + r, and the polynomial of
   * Cephes' {@code expf} for e^r. 2^n is applied in two halves, so that subnormal results, 0 and
   * infinity come by themselves.
   *
   * @param x values, with room for a vector past the last
   * @param from the first
   * @param to one past the last
   */
  static void exp(float[] x, int from, int to) {
    for (int i = from; i < to; i += Lanes.COUNT) {
      FloatVector bounded = FloatVector.fromArray(FLOATS, x, i).max(LOWEST).min(HIGHEST);
      FloatVector shifted = bounded.fma(LOG2_E, SHIFTER);
      FloatVector n = shifted.sub(SHIFTER);
      FloatVector r = n.fma(MINUS_LN2_LOW, n.fma(MINUS_LN2_HIGH, bounded));
      FloatVector p = r.fma(E7, E6).fma(r, E5).fma(r, E4).fma(r, E3).fma(r, HALF);
      p = p.fma(r.mul(r), r).add(ONE);
      IntVector exponent = shifted.reinterpretAsInts().sub(SHIFTER_BITS);
      IntVector half = exponent.lanewise(VectorOperators.ASHR, 1);
      IntVector low = half.add(BIAS).lanewise(VectorOperators.LSHL, 23);
      IntVector high = exponent.sub(half).add(BIAS).lanewise(VectorOperators.LSHL, 23);
      p.mul(low.reinterpretAsFloats()).mul(high.reinterpretAsFloats()).intoArray(x, i);
    }
  }

  // What surrounds the exponential is left to the compiler's own vectors.

  /** out[i] = -x[from + i]. */
  static void negate(float[] x, int from, int count, float[] out) {
    for (int i = 0; i < count; i++) {
      out[i] = -x[from + i];
    }
  }

  /** gate = gate / (1 + e^-gate) up. */
  static void swiGlu(float[] gate, float[] up, int from, int count, float[] exponentials) {
    for (int i = 0; i < count; i++) {
      gate[from + i] = gate[from + i] / (exponentials[i] + 1) * up[from + i];
    }
  }

  /** out[i] = -x[from + i]^2 / 2. */
  static void negateHalfSquares(float[] x, int from, int count, float[] out) {
    for (int i = 0; i < count; i++) {
      float z = x[from + i] * ROOT_HALF;
      out[i] = -(z * z);
    }
  }

  /**
   * x (1 + erf(x / sqrt 2)) / 2 as max(x, 0) - |x| (1 - erf(|x| / sqrt 2)) / 2, with erf within
   * 1.5e-7 (Abramowitz and Stegun, 7.1.26).
   *
   * @param exponentials e^(-x^2 / 2)
   */
  static void gelu(float[] x, int from, int count, float[] exponentials) {
    for (int i = 0; i < count; i++) {
      float distance = Math.abs(x[from + i]);
      float t = 1 / (distance * ROOT_HALF * P + 1);
      float p = ((((t * A5 + A4) * t + A3) * t + A2) * t + A1) * t;
      x[from + i] = Math.max(x[from + i], 0) - distance * (p * exponentials[i] * 0.5f);
    }
  }
}
