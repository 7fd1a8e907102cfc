package dev.nibble.quantizer.tensor;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/** Functions of every lane of a vector. The same input gives the same bits in any lane. */
final class VectorMath {
  /**
   * Adding it rounds |x| below 2^22 to an integer, half to even, which the low bits then hold;
   * subtracting it again gives that integer as a float.
   */
  static final float ROUNDER = 0x1.8p23f;

  /** Where {@link #ROUNDER} no longer rounds. */
  static final float ROUNDER_LIMIT = 0x1p22f;

  private static final float LOG2_E = 1.442695f;
  private static final float LN2_HIGH = 0x1.63p-1f;
  private static final float LN2_LOW = -0.00021219444f;

  private VectorMath() {}

  /** Nearest integer, half to even, of |x| below 2^22. */
  static FloatVector round(FloatVector x) {
    return x.add(ROUNDER).sub(ROUNDER);
  }

  /**
   * e^x within 2 units of the last place: x = n ln 2 + r, and the polynomial of Cephes' {@code
   * expf} for e^r. 2^n is applied in two halves, so that subnormal results, 0 and infinity come by
   * themselves.
   */
  static FloatVector exp(FloatVector x) {
    FloatVector bounded = x.max(-104f).min(89f);
    FloatVector shifted = bounded.fma(Lanes.all(LOG2_E), Lanes.all(ROUNDER));
    FloatVector n = shifted.sub(ROUNDER);
    FloatVector r = n.fma(Lanes.all(-LN2_HIGH), bounded);
    r = n.fma(Lanes.all(-LN2_LOW), r);
    FloatVector p = r.fma(Lanes.all(0.00019875691f), Lanes.all(0.0013981999f));
    p = p.fma(r, Lanes.all(0.008333452f));
    p = p.fma(r, Lanes.all(0.041665796f));
    p = p.fma(r, Lanes.all(0.16666666f));
    p = p.fma(r, Lanes.all(0.5f));
    p = p.fma(r.mul(r), r).add(1f);
    IntVector exponent = shifted.reinterpretAsInts().sub(Float.floatToRawIntBits(ROUNDER));
    IntVector half = exponent.lanewise(VectorOperators.ASHR, 1);
    return p.mul(powerOfTwo(half)).mul(powerOfTwo(exponent.sub(half)));
  }

  /** 2^n for n from -126 to 127. */
  private static FloatVector powerOfTwo(IntVector n) {
    return n.add(127).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats();
  }

  /** x / (1 + e^-x). */
  static FloatVector silu(FloatVector x) {
    return x.div(exp(x.neg()).add(1f));
  }

  /** x (1 + erf(x / sqrt 2)) / 2, erf within 1.5e-7 (Abramowitz and Stegun, 7.1.26). */
  static FloatVector gelu(FloatVector x) {
    FloatVector z = x.abs().mul((float) Math.sqrt(0.5));
    FloatVector t = Lanes.all(1f).div(z.fma(Lanes.all(0.3275911f), Lanes.all(1f)));
    FloatVector p = t.fma(Lanes.all(1.0614054f), Lanes.all(-1.4531521f));
    p = p.fma(t, Lanes.all(1.4214138f));
    p = p.fma(t, Lanes.all(-0.28449672f));
    p = p.fma(t, Lanes.all(0.2548296f)).mul(t);
    FloatVector tail = p.mul(exp(z.mul(z).neg())).mul(0.5f);
    FloatVector below = x.mul(tail);
    return x.sub(below).blend(below, x.compare(VectorOperators.LT, 0f));
  }
}
