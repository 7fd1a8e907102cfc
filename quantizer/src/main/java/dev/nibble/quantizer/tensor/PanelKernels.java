package dev.nibble.quantizer.tensor;

import static dev.nibble.quantizer.tensor.CodeWords.BLOCK;
import static dev.nibble.quantizer.tensor.Lanes.FLOATS;
import static dev.nibble.quantizer.tensor.Lanes.INTS;
import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.ASHR;
import static jdk.incubator.vector.VectorOperators.I2F;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * Products of one run of a row block with its inputs. Each output is one chain of fused
 * multiply-adds over the run's columns in ascending order, in whichever kernel computes it.
 */
final class PanelKernels {
  /** Tokens of {@link #four}. */
  static final int TILE = 4;

  private static final int LANES = FLOATS.length();

  /** An fp16's bits, moved to a float's places, are the number times 2^-112. */
  static final float HALF_BIAS = 0x1p112f;

  static final int HALF_BITS = 0x8fffe000;

  private PanelKernels() {}

  /** dots[to..to + 63] = sum over k of panel[k, row] x[at + k]. */
  static void one(float[] panel, int columns, float[] x, int at, float[] dots, int to) {
    for (int i = 0; i < BLOCK; i += 4 * LANES) {
      FloatVector a = FloatVector.zero(FLOATS);
      FloatVector b = a;
      FloatVector c = a;
      FloatVector d = a;
      int p = i;
      for (int k = 0; k < columns; k++, p += BLOCK) {
        FloatVector v = FloatVector.broadcast(FLOATS, x[at + k]);
        a = FloatVector.fromArray(FLOATS, panel, p).fma(v, a);
        b = FloatVector.fromArray(FLOATS, panel, p + LANES).fma(v, b);
        c = FloatVector.fromArray(FLOATS, panel, p + 2 * LANES).fma(v, c);
        d = FloatVector.fromArray(FLOATS, panel, p + 3 * LANES).fma(v, d);
      }
      a.intoArray(dots, to + i);
      b.intoArray(dots, to + i + LANES);
      c.intoArray(dots, to + i + 2 * LANES);
      d.intoArray(dots, to + i + 3 * LANES);
    }
  }

  /** As {@link #one} for four tokens, {@code stride} apart in x and 64 in dots from 0. */
  static void four(float[] panel, int columns, float[] x, int at, int stride, float[] dots) {
    for (int i = 0; i < BLOCK; i += 4 * LANES) {
      FloatVector a0 = FloatVector.zero(FLOATS);
      FloatVector b0 = a0;
      FloatVector c0 = a0;
      FloatVector d0 = a0;
      FloatVector a1 = a0;
      FloatVector b1 = a0;
      FloatVector c1 = a0;
      FloatVector d1 = a0;
      FloatVector a2 = a0;
      FloatVector b2 = a0;
      FloatVector c2 = a0;
      FloatVector d2 = a0;
      FloatVector a3 = a0;
      FloatVector b3 = a0;
      FloatVector c3 = a0;
      FloatVector d3 = a0;
      int p = i;
      for (int k = at; k < at + columns; k++, p += BLOCK) {
        FloatVector a = FloatVector.fromArray(FLOATS, panel, p);
        FloatVector b = FloatVector.fromArray(FLOATS, panel, p + LANES);
        FloatVector c = FloatVector.fromArray(FLOATS, panel, p + 2 * LANES);
        FloatVector d = FloatVector.fromArray(FLOATS, panel, p + 3 * LANES);
        FloatVector v = FloatVector.broadcast(FLOATS, x[k]);
        a0 = a.fma(v, a0);
        b0 = b.fma(v, b0);
        c0 = c.fma(v, c0);
        d0 = d.fma(v, d0);
        v = FloatVector.broadcast(FLOATS, x[k + stride]);
        a1 = a.fma(v, a1);
        b1 = b.fma(v, b1);
        c1 = c.fma(v, c1);
        d1 = d.fma(v, d1);
        v = FloatVector.broadcast(FLOATS, x[k + 2 * stride]);
        a2 = a.fma(v, a2);
        b2 = b.fma(v, b2);
        c2 = c.fma(v, c2);
        d2 = d.fma(v, d2);
        v = FloatVector.broadcast(FLOATS, x[k + 3 * stride]);
        a3 = a.fma(v, a3);
        b3 = b.fma(v, b3);
        c3 = c.fma(v, c3);
        d3 = d.fma(v, d3);
      }
      a0.intoArray(dots, i);
      b0.intoArray(dots, i + LANES);
      c0.intoArray(dots, i + 2 * LANES);
      d0.intoArray(dots, i + 3 * LANES);
      a1.intoArray(dots, i + BLOCK);
      b1.intoArray(dots, i + BLOCK + LANES);
      c1.intoArray(dots, i + BLOCK + 2 * LANES);
      d1.intoArray(dots, i + BLOCK + 3 * LANES);
      a2.intoArray(dots, i + 2 * BLOCK);
      b2.intoArray(dots, i + 2 * BLOCK + LANES);
      c2.intoArray(dots, i + 2 * BLOCK + 2 * LANES);
      d2.intoArray(dots, i + 2 * BLOCK + 3 * LANES);
      a3.intoArray(dots, i + 3 * BLOCK);
      b3.intoArray(dots, i + 3 * BLOCK + LANES);
      c3.intoArray(dots, i + 3 * BLOCK + 2 * LANES);
      d3.intoArray(dots, i + 3 * BLOCK + 3 * LANES);
    }
  }

  /**
   * y[t, row] += scale[row] (dots[t, row] - zero[row] sums[t]) for a few tokens.
   *
   * @param words the scale words of the run, at byte {@code at}
   * @param sums the tokens' sums, {@code sumStride} apart from {@code sumAt}
   * @param y [tokens, 64] from {@code yFrom}
   */
  static void add(
      MemorySegment words,
      long at,
      float[] dots,
      int tokens,
      float[] sums,
      int sumAt,
      int sumStride,
      float[] y,
      int yFrom) {
    for (int i = 0; i < BLOCK; i += LANES) {
      IntVector w =
          IntVector.fromMemorySegment(INTS, words, at + (long) i * Integer.BYTES, LITTLE_ENDIAN);
      FloatVector scale = w.lanewise(ASHR, 3).and(HALF_BITS).reinterpretAsFloats().mul(HALF_BIAS);
      FloatVector zero = ((FloatVector) w.and(0xff).convert(I2F, 0)).neg();
      for (int t = 0; t < tokens; t++) {
        int o = t * BLOCK + i;
        FloatVector sum = FloatVector.broadcast(FLOATS, sums[sumAt + t * sumStride]);
        FloatVector centred = zero.fma(sum, FloatVector.fromArray(FLOATS, dots, o));
        scale.fma(centred, FloatVector.fromArray(FLOATS, y, yFrom + o)).intoArray(y, yFrom + o);
      }
    }
  }
}
