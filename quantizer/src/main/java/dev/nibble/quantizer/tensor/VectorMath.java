package dev.nibble.quantizer.tensor;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Functions of every lane of a vector. The same input gives the same bits in any lane. Constants
 * are vectors made once: broadcasting them in place takes the compiler past the size to which it
 * inlines, and vectors that are not inlined become objects.
 */
final class VectorMath {
  /**
   * Adding it rounds |x| below 2^22 to an integer, half to even, which the low bits then hold;
   * subtracting it again gives that integer as a float.
   */
  private static final FloatVector ROUNDER = Lanes.all(0x1.8p23f);

  /** Where {@link #round} no longer rounds. */
  static final float ROUND_LIMIT = 0x1p22f;

  private static final FloatVector LOWEST = Lanes.all(-104f);
  private static final FloatVector HIGHEST = Lanes.all(89f);
  private static final FloatVector LOG2_E = Lanes.all(1.442695f);
  private static final FloatVector MINUS_LN2_HIGH = Lanes.all(-0x1.63p-1f);
  private static final FloatVector MINUS_LN2_LOW = Lanes.all(0.00021219444f);
  private static final FloatVector E7 = Lanes.all(0.00019875691f);
  private static final FloatVector E6 = Lanes.all(0.0013981999f);
  private static final FloatVector E5 = Lanes.all(0.008333452f);
  private static final FloatVector E4 = Lanes.all(0.041665796f);
  private static final FloatVector E3 = Lanes.all(0.16666666f);
  private static final FloatVector HALF = Lanes.all(0.5f);
  private static final FloatVector ONE = Lanes.all(1f);
  private static final FloatVector ZERO = Lanes.all(0f);
  private static final IntVector ROUNDER_BITS = ROUNDER.reinterpretAsInts();
  private static final IntVector BIAS = IntVector.broadcast(Lanes.INTS, 127);

  private static final FloatVector ROOT_HALF = Lanes.all((float) Math.sqrt(0.5));
  private static final FloatVector P = Lanes.all(0.3275911f);
  private static final FloatVector A5 = Lanes.all(1.0614054f);
  private static final FloatVector A4 = Lanes.all(-1.4531521f);
  private static final FloatVector A3 = Lanes.all(1.4214138f);
  private static final FloatVector A2 = Lanes.all(-0.28449672f);
  private static final FloatVector A1 = Lanes.all(0.2548296f);

  private VectorMath() {}

  /** Nearest integer, half to even, of |x| below {@link #ROUND_LIMIT}. */
  static FloatVector round(FloatVector x) {
    return x.add(ROUNDER).sub(ROUNDER);
  }

  /**
   * e^x within 2 units of the last place: x = n ln 2 + r, and the polynomial of Cephes' {@code
   * expf} for e^r. 2^n is applied in two halves, so that subnormal results, 0 and infinity come by
   * themselves.
   */
  static FloatVector exp(FloatVector x) {
    FloatVector bounded = x.max(LOWEST).min(HIGHEST);
    FloatVector shifted = bounded.fma(LOG2_E, ROUNDER);
    FloatVector n = shifted.sub(ROUNDER);
    FloatVector r = n.fma(MINUS_LN2_LOW, n.fma(MINUS_LN2_HIGH, bounded));
    FloatVector p = r.fma(E7, E6).fma(r, E5).fma(r, E4).fma(r, E3).fma(r, HALF);
    p = p.fma(r.mul(r), r).add(ONE);
    IntVector exponent = shifted.reinterpretAsInts().sub(ROUNDER_BITS);
    IntVector half = exponent.lanewise(VectorOperators.ASHR, 1);
    IntVector low = half.add(BIAS).lanewise(VectorOperators.LSHL, 23);
    IntVector high = exponent.sub(half).add(BIAS).lanewise(VectorOperators.LSHL, 23);
    return p.mul(low.reinterpretAsFloats()).mul(high.reinterpretAsFloats());
  }

  /** x / (1 + e^-x). */
  static FloatVector silu(FloatVector x) {
    return x.div(exp(x.neg()).add(ONE));
  }

  /**
   * x (1 + erf(x / sqrt 2)) / 2 as max(x, 0) - |x| (1 - erf(|x| / sqrt 2)) / 2, with erf within
   * 1.5e-7 (Abramowitz and Stegun, 7.1.26).
   */
  static FloatVector gelu(FloatVector x) {
    FloatVector distance = x.abs();
    FloatVector z = distance.mul(ROOT_HALF);
    FloatVector t = ONE.div(z.fma(P, ONE));
    FloatVector p = t.fma(A5, A4).fma(t, A3).fma(t, A2).fma(t, A1).mul(t);
    FloatVector tail = p.mul(exp(z.mul(z).neg())).mul(HALF);
    return x.max(ZERO).sub(distance.mul(tail));
  }
}
