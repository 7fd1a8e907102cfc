package dev.nibble.quantizer.tensor;

import static dev.nibble.quantizer.tensor.CodeWords.BLOCK;
import static dev.nibble.quantizer.tensor.CodeWords.BLOCK_BYTES;
import static dev.nibble.quantizer.tensor.Lanes.FLOATS;
import static dev.nibble.quantizer.tensor.Lanes.INTS;
import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.I2F;
import static jdk.incubator.vector.VectorOperators.LSHR;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * One token's products with a run of a row block, straight from the words: what {@link CodePanels}
 * and {@link PanelKernels#one} do together, to the same bits, without the panel in between.
 *
 * <p>Four vectors of rows go side by side, so that one waits while another works, and everything is
 * written out: a method of ours that takes vectors is not inlined into a kernel of this size, and
 * then each vector becomes an object.
 */
final class CodeDots {
  private static final int LANES = INTS.length();

  private CodeDots() {}

  /** dots[0..63] = sum over k of code[k, row] x[at + k]. */
  static void dot(
      int bits, MemorySegment words, long from, int units, float[] x, int at, float[] dots) {
    switch (bits) {
      case 8 -> dot8(words, from, units, x, at, dots);
      case 4 -> dot4(words, from, units, x, at, dots);
      case 2 -> dot2(words, from, units, x, at, dots);
      case 6 -> dot6(words, from, units, x, at, dots);
      default -> dot3(words, from, units, x, at, dots);
    }
  }

  private static void dot8(
      MemorySegment words, long from, int units, float[] x, int at, float[] dots) {
    for (int i = 0; i < BLOCK; i += 4 * LANES) {
      FloatVector a = FloatVector.zero(FLOATS);
      FloatVector b = a;
      FloatVector c = a;
      FloatVector d = a;
      long o = from + (long) i * Integer.BYTES;
      int k = at;
      for (int u = 0; u < units; u++, k += 4, o += BLOCK_BYTES) {
        IntVector p = IntVector.fromMemorySegment(INTS, words, o, LITTLE_ENDIAN);
        IntVector q = IntVector.fromMemorySegment(INTS, words, o + 4L * LANES, LITTLE_ENDIAN);
        IntVector r = IntVector.fromMemorySegment(INTS, words, o + 8L * LANES, LITTLE_ENDIAN);
        IntVector s = IntVector.fromMemorySegment(INTS, words, o + 12L * LANES, LITTLE_ENDIAN);
        FloatVector v = FloatVector.broadcast(FLOATS, x[k]);
        a = ((FloatVector) p.and(0xff).convert(I2F, 0)).fma(v, a);
        b = ((FloatVector) q.and(0xff).convert(I2F, 0)).fma(v, b);
        c = ((FloatVector) r.and(0xff).convert(I2F, 0)).fma(v, c);
        d = ((FloatVector) s.and(0xff).convert(I2F, 0)).fma(v, d);
        v = FloatVector.broadcast(FLOATS, x[k + 1]);
        a = ((FloatVector) p.and(0xff00).convert(I2F, 0)).fma(v, a);
        b = ((FloatVector) q.and(0xff00).convert(I2F, 0)).fma(v, b);
        c = ((FloatVector) r.and(0xff00).convert(I2F, 0)).fma(v, c);
        d = ((FloatVector) s.and(0xff00).convert(I2F, 0)).fma(v, d);
        v = FloatVector.broadcast(FLOATS, x[k + 2]);
        a = ((FloatVector) p.and(0xff0000).convert(I2F, 0)).fma(v, a);
        b = ((FloatVector) q.and(0xff0000).convert(I2F, 0)).fma(v, b);
        c = ((FloatVector) r.and(0xff0000).convert(I2F, 0)).fma(v, c);
        d = ((FloatVector) s.and(0xff0000).convert(I2F, 0)).fma(v, d);
        v = FloatVector.broadcast(FLOATS, x[k + 3]);
        a = ((FloatVector) p.lanewise(LSHR, 24).convert(I2F, 0)).fma(v, a);
        b = ((FloatVector) q.lanewise(LSHR, 24).convert(I2F, 0)).fma(v, b);
        c = ((FloatVector) r.lanewise(LSHR, 24).convert(I2F, 0)).fma(v, c);
        d = ((FloatVector) s.lanewise(LSHR, 24).convert(I2F, 0)).fma(v, d);
      }
      a.intoArray(dots, i);
      b.intoArray(dots, i + LANES);
      c.intoArray(dots, i + 2 * LANES);
      d.intoArray(dots, i + 3 * LANES);
    }
  }

  private static void dot4(
      MemorySegment words, long from, int units, float[] x, int at, float[] dots) {
    for (int i = 0; i < BLOCK; i += 4 * LANES) {
      FloatVector a = FloatVector.zero(FLOATS);
      FloatVector b = a;
      FloatVector c = a;
      FloatVector d = a;
      long o = from + (long) i * Integer.BYTES;
      int k = at;
      for (int u = 0; u < units; u++, o += BLOCK_BYTES) {
        IntVector p = IntVector.fromMemorySegment(INTS, words, o, LITTLE_ENDIAN);
        IntVector q = IntVector.fromMemorySegment(INTS, words, o + 4L * LANES, LITTLE_ENDIAN);
        IntVector r = IntVector.fromMemorySegment(INTS, words, o + 8L * LANES, LITTLE_ENDIAN);
        IntVector s = IntVector.fromMemorySegment(INTS, words, o + 12L * LANES, LITTLE_ENDIAN);
        for (int end = k + 8; k < end; k += 4) {
          FloatVector v = FloatVector.broadcast(FLOATS, x[k]);
          a = ((FloatVector) p.and(0xf).convert(I2F, 0)).fma(v, a);
          b = ((FloatVector) q.and(0xf).convert(I2F, 0)).fma(v, b);
          c = ((FloatVector) r.and(0xf).convert(I2F, 0)).fma(v, c);
          d = ((FloatVector) s.and(0xf).convert(I2F, 0)).fma(v, d);
          v = FloatVector.broadcast(FLOATS, x[k + 1]);
          a = ((FloatVector) p.and(0xf0).convert(I2F, 0)).fma(v, a);
          b = ((FloatVector) q.and(0xf0).convert(I2F, 0)).fma(v, b);
          c = ((FloatVector) r.and(0xf0).convert(I2F, 0)).fma(v, c);
          d = ((FloatVector) s.and(0xf0).convert(I2F, 0)).fma(v, d);
          v = FloatVector.broadcast(FLOATS, x[k + 2]);
          a = ((FloatVector) p.and(0xf00).convert(I2F, 0)).fma(v, a);
          b = ((FloatVector) q.and(0xf00).convert(I2F, 0)).fma(v, b);
          c = ((FloatVector) r.and(0xf00).convert(I2F, 0)).fma(v, c);
          d = ((FloatVector) s.and(0xf00).convert(I2F, 0)).fma(v, d);
          v = FloatVector.broadcast(FLOATS, x[k + 3]);
          a = ((FloatVector) p.and(0xf000).convert(I2F, 0)).fma(v, a);
          b = ((FloatVector) q.and(0xf000).convert(I2F, 0)).fma(v, b);
          c = ((FloatVector) r.and(0xf000).convert(I2F, 0)).fma(v, c);
          d = ((FloatVector) s.and(0xf000).convert(I2F, 0)).fma(v, d);
          p = p.lanewise(LSHR, 16);
          q = q.lanewise(LSHR, 16);
          r = r.lanewise(LSHR, 16);
          s = s.lanewise(LSHR, 16);
        }
      }
      a.intoArray(dots, i);
      b.intoArray(dots, i + LANES);
      c.intoArray(dots, i + 2 * LANES);
      d.intoArray(dots, i + 3 * LANES);
    }
  }

  private static void dot2(
      MemorySegment words, long from, int units, float[] x, int at, float[] dots) {
    for (int i = 0; i < BLOCK; i += 4 * LANES) {
      FloatVector a = FloatVector.zero(FLOATS);
      FloatVector b = a;
      FloatVector c = a;
      FloatVector d = a;
      long o = from + (long) i * Integer.BYTES;
      int k = at;
      for (int u = 0; u < units; u++, o += BLOCK_BYTES) {
        IntVector p = IntVector.fromMemorySegment(INTS, words, o, LITTLE_ENDIAN);
        IntVector q = IntVector.fromMemorySegment(INTS, words, o + 4L * LANES, LITTLE_ENDIAN);
        IntVector r = IntVector.fromMemorySegment(INTS, words, o + 8L * LANES, LITTLE_ENDIAN);
        IntVector s = IntVector.fromMemorySegment(INTS, words, o + 12L * LANES, LITTLE_ENDIAN);
        for (int end = k + 16; k < end; k += 4) {
          FloatVector v = FloatVector.broadcast(FLOATS, x[k]);
          a = ((FloatVector) p.and(0x3).convert(I2F, 0)).fma(v, a);
          b = ((FloatVector) q.and(0x3).convert(I2F, 0)).fma(v, b);
          c = ((FloatVector) r.and(0x3).convert(I2F, 0)).fma(v, c);
          d = ((FloatVector) s.and(0x3).convert(I2F, 0)).fma(v, d);
          v = FloatVector.broadcast(FLOATS, x[k + 1]);
          a = ((FloatVector) p.and(0xc).convert(I2F, 0)).fma(v, a);
          b = ((FloatVector) q.and(0xc).convert(I2F, 0)).fma(v, b);
          c = ((FloatVector) r.and(0xc).convert(I2F, 0)).fma(v, c);
          d = ((FloatVector) s.and(0xc).convert(I2F, 0)).fma(v, d);
          v = FloatVector.broadcast(FLOATS, x[k + 2]);
          a = ((FloatVector) p.and(0x30).convert(I2F, 0)).fma(v, a);
          b = ((FloatVector) q.and(0x30).convert(I2F, 0)).fma(v, b);
          c = ((FloatVector) r.and(0x30).convert(I2F, 0)).fma(v, c);
          d = ((FloatVector) s.and(0x30).convert(I2F, 0)).fma(v, d);
          v = FloatVector.broadcast(FLOATS, x[k + 3]);
          a = ((FloatVector) p.and(0xc0).convert(I2F, 0)).fma(v, a);
          b = ((FloatVector) q.and(0xc0).convert(I2F, 0)).fma(v, b);
          c = ((FloatVector) r.and(0xc0).convert(I2F, 0)).fma(v, c);
          d = ((FloatVector) s.and(0xc0).convert(I2F, 0)).fma(v, d);
          p = p.lanewise(LSHR, 8);
          q = q.lanewise(LSHR, 8);
          r = r.lanewise(LSHR, 8);
          s = s.lanewise(LSHR, 8);
        }
      }
      a.intoArray(dots, i);
      b.intoArray(dots, i + LANES);
      c.intoArray(dots, i + 2 * LANES);
      d.intoArray(dots, i + 3 * LANES);
    }
  }

  private static void dot6(
      MemorySegment words, long from, int units, float[] x, int at, float[] dots) {
    for (int i = 0; i < BLOCK; i += 4 * LANES) {
      FloatVector a = FloatVector.zero(FLOATS);
      FloatVector b = a;
      FloatVector c = a;
      FloatVector d = a;
      long o = from + (long) i * Integer.BYTES;
      int k = at;
      for (int u = 0; u < units; u++, k++) {
        IntVector pRest = IntVector.zero(INTS);
        IntVector qRest = pRest;
        IntVector rRest = pRest;
        IntVector sRest = pRest;
        for (int end = k + 15; k < end; k += 5, o += BLOCK_BYTES) {
          IntVector p = IntVector.fromMemorySegment(INTS, words, o, LITTLE_ENDIAN);
          IntVector q = IntVector.fromMemorySegment(INTS, words, o + 4L * LANES, LITTLE_ENDIAN);
          IntVector r = IntVector.fromMemorySegment(INTS, words, o + 8L * LANES, LITTLE_ENDIAN);
          IntVector s = IntVector.fromMemorySegment(INTS, words, o + 12L * LANES, LITTLE_ENDIAN);
          pRest = pRest.lanewise(LSHR, 2).or(p.and(0xc0000000));
          qRest = qRest.lanewise(LSHR, 2).or(q.and(0xc0000000));
          rRest = rRest.lanewise(LSHR, 2).or(r.and(0xc0000000));
          sRest = sRest.lanewise(LSHR, 2).or(s.and(0xc0000000));
          FloatVector v = FloatVector.broadcast(FLOATS, x[k]);
          a = ((FloatVector) p.and(0x3f).convert(I2F, 0)).fma(v, a);
          b = ((FloatVector) q.and(0x3f).convert(I2F, 0)).fma(v, b);
          c = ((FloatVector) r.and(0x3f).convert(I2F, 0)).fma(v, c);
          d = ((FloatVector) s.and(0x3f).convert(I2F, 0)).fma(v, d);
          v = FloatVector.broadcast(FLOATS, x[k + 1]);
          a = ((FloatVector) p.and(0xfc0).convert(I2F, 0)).fma(v, a);
          b = ((FloatVector) q.and(0xfc0).convert(I2F, 0)).fma(v, b);
          c = ((FloatVector) r.and(0xfc0).convert(I2F, 0)).fma(v, c);
          d = ((FloatVector) s.and(0xfc0).convert(I2F, 0)).fma(v, d);
          v = FloatVector.broadcast(FLOATS, x[k + 2]);
          a = ((FloatVector) p.and(0x3f000).convert(I2F, 0)).fma(v, a);
          b = ((FloatVector) q.and(0x3f000).convert(I2F, 0)).fma(v, b);
          c = ((FloatVector) r.and(0x3f000).convert(I2F, 0)).fma(v, c);
          d = ((FloatVector) s.and(0x3f000).convert(I2F, 0)).fma(v, d);
          p = p.lanewise(LSHR, 18);
          q = q.lanewise(LSHR, 18);
          r = r.lanewise(LSHR, 18);
          s = s.lanewise(LSHR, 18);
          v = FloatVector.broadcast(FLOATS, x[k + 3]);
          a = ((FloatVector) p.and(0x3f).convert(I2F, 0)).fma(v, a);
          b = ((FloatVector) q.and(0x3f).convert(I2F, 0)).fma(v, b);
          c = ((FloatVector) r.and(0x3f).convert(I2F, 0)).fma(v, c);
          d = ((FloatVector) s.and(0x3f).convert(I2F, 0)).fma(v, d);
          v = FloatVector.broadcast(FLOATS, x[k + 4]);
          a = ((FloatVector) p.and(0xfc0).convert(I2F, 0)).fma(v, a);
          b = ((FloatVector) q.and(0xfc0).convert(I2F, 0)).fma(v, b);
          c = ((FloatVector) r.and(0xfc0).convert(I2F, 0)).fma(v, c);
          d = ((FloatVector) s.and(0xfc0).convert(I2F, 0)).fma(v, d);
        }
        FloatVector v = FloatVector.broadcast(FLOATS, x[k]);
        a = ((FloatVector) pRest.lanewise(LSHR, 26).convert(I2F, 0)).fma(v, a);
        b = ((FloatVector) qRest.lanewise(LSHR, 26).convert(I2F, 0)).fma(v, b);
        c = ((FloatVector) rRest.lanewise(LSHR, 26).convert(I2F, 0)).fma(v, c);
        d = ((FloatVector) sRest.lanewise(LSHR, 26).convert(I2F, 0)).fma(v, d);
      }
      a.intoArray(dots, i);
      b.intoArray(dots, i + LANES);
      c.intoArray(dots, i + 2 * LANES);
      d.intoArray(dots, i + 3 * LANES);
    }
  }

  private static void dot3(
      MemorySegment words, long from, int units, float[] x, int at, float[] dots) {
    for (int i = 0; i < BLOCK; i += 4 * LANES) {
      FloatVector a = FloatVector.zero(FLOATS);
      FloatVector b = a;
      FloatVector c = a;
      FloatVector d = a;
      long o = from + (long) i * Integer.BYTES;
      int k = at;
      for (int u = 0; u < units; u++, k += 2) {
        IntVector pRest = IntVector.zero(INTS);
        IntVector qRest = pRest;
        IntVector rRest = pRest;
        IntVector sRest = pRest;
        for (int end = k + 30; k < end; o += BLOCK_BYTES) {
          IntVector p = IntVector.fromMemorySegment(INTS, words, o, LITTLE_ENDIAN);
          IntVector q = IntVector.fromMemorySegment(INTS, words, o + 4L * LANES, LITTLE_ENDIAN);
          IntVector r = IntVector.fromMemorySegment(INTS, words, o + 8L * LANES, LITTLE_ENDIAN);
          IntVector s = IntVector.fromMemorySegment(INTS, words, o + 12L * LANES, LITTLE_ENDIAN);
          pRest = pRest.lanewise(LSHR, 2).or(p.and(0xc0000000));
          qRest = qRest.lanewise(LSHR, 2).or(q.and(0xc0000000));
          rRest = rRest.lanewise(LSHR, 2).or(r.and(0xc0000000));
          sRest = sRest.lanewise(LSHR, 2).or(s.and(0xc0000000));
          for (int half = k + 10; k < half; k += 5) {
            FloatVector v = FloatVector.broadcast(FLOATS, x[k]);
            a = ((FloatVector) p.and(0x7).convert(I2F, 0)).fma(v, a);
            b = ((FloatVector) q.and(0x7).convert(I2F, 0)).fma(v, b);
            c = ((FloatVector) r.and(0x7).convert(I2F, 0)).fma(v, c);
            d = ((FloatVector) s.and(0x7).convert(I2F, 0)).fma(v, d);
            v = FloatVector.broadcast(FLOATS, x[k + 1]);
            a = ((FloatVector) p.and(0x38).convert(I2F, 0)).fma(v, a);
            b = ((FloatVector) q.and(0x38).convert(I2F, 0)).fma(v, b);
            c = ((FloatVector) r.and(0x38).convert(I2F, 0)).fma(v, c);
            d = ((FloatVector) s.and(0x38).convert(I2F, 0)).fma(v, d);
            v = FloatVector.broadcast(FLOATS, x[k + 2]);
            a = ((FloatVector) p.and(0x1c0).convert(I2F, 0)).fma(v, a);
            b = ((FloatVector) q.and(0x1c0).convert(I2F, 0)).fma(v, b);
            c = ((FloatVector) r.and(0x1c0).convert(I2F, 0)).fma(v, c);
            d = ((FloatVector) s.and(0x1c0).convert(I2F, 0)).fma(v, d);
            v = FloatVector.broadcast(FLOATS, x[k + 3]);
            a = ((FloatVector) p.and(0xe00).convert(I2F, 0)).fma(v, a);
            b = ((FloatVector) q.and(0xe00).convert(I2F, 0)).fma(v, b);
            c = ((FloatVector) r.and(0xe00).convert(I2F, 0)).fma(v, c);
            d = ((FloatVector) s.and(0xe00).convert(I2F, 0)).fma(v, d);
            v = FloatVector.broadcast(FLOATS, x[k + 4]);
            a = ((FloatVector) p.and(0x7000).convert(I2F, 0)).fma(v, a);
            b = ((FloatVector) q.and(0x7000).convert(I2F, 0)).fma(v, b);
            c = ((FloatVector) r.and(0x7000).convert(I2F, 0)).fma(v, c);
            d = ((FloatVector) s.and(0x7000).convert(I2F, 0)).fma(v, d);
            p = p.lanewise(LSHR, 15);
            q = q.lanewise(LSHR, 15);
            r = r.lanewise(LSHR, 15);
            s = s.lanewise(LSHR, 15);
          }
        }
        FloatVector v = FloatVector.broadcast(FLOATS, x[k]);
        a = ((FloatVector) pRest.lanewise(LSHR, 26).and(0x7).convert(I2F, 0)).fma(v, a);
        b = ((FloatVector) qRest.lanewise(LSHR, 26).and(0x7).convert(I2F, 0)).fma(v, b);
        c = ((FloatVector) rRest.lanewise(LSHR, 26).and(0x7).convert(I2F, 0)).fma(v, c);
        d = ((FloatVector) sRest.lanewise(LSHR, 26).and(0x7).convert(I2F, 0)).fma(v, d);
        v = FloatVector.broadcast(FLOATS, x[k + 1]);
        a = ((FloatVector) pRest.lanewise(LSHR, 29).convert(I2F, 0)).fma(v, a);
        b = ((FloatVector) qRest.lanewise(LSHR, 29).convert(I2F, 0)).fma(v, b);
        c = ((FloatVector) rRest.lanewise(LSHR, 29).convert(I2F, 0)).fma(v, c);
        d = ((FloatVector) sRest.lanewise(LSHR, 29).convert(I2F, 0)).fma(v, d);
      }
      a.intoArray(dots, i);
      b.intoArray(dots, i + LANES);
      c.intoArray(dots, i + 2 * LANES);
      d.intoArray(dots, i + 3 * LANES);
    }
  }
}
