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
 */
final class CodeDots {
  private static final int LANES = INTS.length();

  private CodeDots() {}

  /** dots[0..63] = sum over k of code[k, row] x[at + k], 4-bit codes. */
  static void dot4(MemorySegment words, long from, int units, float[] x, int at, float[] dots) {
    for (int i = 0; i < BLOCK; i += 4 * LANES) {
      FloatVector a = FloatVector.zero(FLOATS);
      FloatVector b = a;
      FloatVector c = a;
      FloatVector d = a;
      long o = from + (long) i * Integer.BYTES;
      int k = at;
      for (int u = 0; u < units; u++, k += 8, o += BLOCK_BYTES) {
        IntVector p = IntVector.fromMemorySegment(INTS, words, o, LITTLE_ENDIAN);
        IntVector q = IntVector.fromMemorySegment(INTS, words, o + 4L * LANES, LITTLE_ENDIAN);
        IntVector r = IntVector.fromMemorySegment(INTS, words, o + 8L * LANES, LITTLE_ENDIAN);
        IntVector s = IntVector.fromMemorySegment(INTS, words, o + 12L * LANES, LITTLE_ENDIAN);
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
        v = FloatVector.broadcast(FLOATS, x[k + 7]);
        IntVector pTop = p.lanewise(LSHR, 28);
        IntVector qTop = q.lanewise(LSHR, 28);
        IntVector rTop = r.lanewise(LSHR, 28);
        IntVector sTop = s.lanewise(LSHR, 28);
        p = p.lanewise(LSHR, 16);
        q = q.lanewise(LSHR, 16);
        r = r.lanewise(LSHR, 16);
        s = s.lanewise(LSHR, 16);
        FloatVector w = FloatVector.broadcast(FLOATS, x[k + 4]);
        a = ((FloatVector) p.and(0xf).convert(I2F, 0)).fma(w, a);
        b = ((FloatVector) q.and(0xf).convert(I2F, 0)).fma(w, b);
        c = ((FloatVector) r.and(0xf).convert(I2F, 0)).fma(w, c);
        d = ((FloatVector) s.and(0xf).convert(I2F, 0)).fma(w, d);
        w = FloatVector.broadcast(FLOATS, x[k + 5]);
        a = ((FloatVector) p.and(0xf0).convert(I2F, 0)).fma(w, a);
        b = ((FloatVector) q.and(0xf0).convert(I2F, 0)).fma(w, b);
        c = ((FloatVector) r.and(0xf0).convert(I2F, 0)).fma(w, c);
        d = ((FloatVector) s.and(0xf0).convert(I2F, 0)).fma(w, d);
        w = FloatVector.broadcast(FLOATS, x[k + 6]);
        a = ((FloatVector) p.and(0xf00).convert(I2F, 0)).fma(w, a);
        b = ((FloatVector) q.and(0xf00).convert(I2F, 0)).fma(w, b);
        c = ((FloatVector) r.and(0xf00).convert(I2F, 0)).fma(w, c);
        d = ((FloatVector) s.and(0xf00).convert(I2F, 0)).fma(w, d);
        a = ((FloatVector) pTop.convert(I2F, 0)).fma(v, a);
        b = ((FloatVector) qTop.convert(I2F, 0)).fma(v, b);
        c = ((FloatVector) rTop.convert(I2F, 0)).fma(v, c);
        d = ((FloatVector) sTop.convert(I2F, 0)).fma(v, d);
      }
      a.intoArray(dots, i);
      b.intoArray(dots, i + LANES);
      c.intoArray(dots, i + 2 * LANES);
      d.intoArray(dots, i + 3 * LANES);
    }
  }
}
