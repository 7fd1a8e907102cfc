package dev.nibble.quantizer.tensor;

import static dev.nibble.quantizer.tensor.CodeWords.BLOCK;
import static dev.nibble.quantizer.tensor.CodeWords.BLOCK_BYTES;
import static dev.nibble.quantizer.tensor.Lanes.FLOATS;
import static dev.nibble.quantizer.tensor.Lanes.INTS;
import static dev.nibble.quantizer.tensor.PanelKernels.HALF_BIAS;
import static dev.nibble.quantizer.tensor.PanelKernels.HALF_BITS;
import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.ASHR;
import static jdk.incubator.vector.VectorOperators.I2F;
import static jdk.incubator.vector.VectorOperators.LSHR;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * One token's products with a row block, straight from the words: what {@link CodePanels} and
 * {@link PanelKernels} do run by run, to the same bits, without the panel in between.
 *
 * <p>Four vectors of rows go side by side, so that one waits while another works, and everything is
 * written out: a method of ours that takes vectors is not inlined into a kernel of this size, and
 * then each vector becomes an object.
 */
final class CodeDots {
  private static final int LANES = INTS.length();

  private CodeDots() {}

  /**
   * Multiplies.
   *
   * @param block where the block's words start
   * @param x scaled inputs from 0
   * @param sums their sums, one a run
   * @param y receives the 64 rows
   */
  static void dot(CodeWords w, long block, float[] x, float[] sums, float[] y) {
    switch (w.bits()) {
      case 8 -> dot8(w, block, x, sums, y);
      case 4 -> dot4(w, block, x, sums, y);
      case 2 -> dot2(w, block, x, sums, y);
      case 6 -> dot6(w, block, x, sums, y);
      default -> dot3(w, block, x, sums, y);
    }
  }

  private static void dot8(CodeWords w, long block, float[] x, float[] sums, float[] y) {
    MemorySegment words = w.words();
    int runs = w.runs();
    long scaleStride = w.scaleStride();
    long codeStride = w.codeStride();
    for (int i = 0; i < BLOCK; i += 4 * LANES) {
      FloatVector aSum = FloatVector.zero(FLOATS);
      FloatVector bSum = aSum;
      FloatVector cSum = aSum;
      FloatVector dSum = aSum;
      long scales = block + (long) i * Integer.BYTES;
      long codes = scales + BLOCK_BYTES;
      for (int run = 0; run < runs; run++) {
        FloatVector a = FloatVector.zero(FLOATS);
        FloatVector b = a;
        FloatVector c = a;
        FloatVector d = a;
        int units = w.units(run);
        int k = run * w.runColumns();
        long o = codes;
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
        FloatVector sum = FloatVector.broadcast(FLOATS, sums[run]);
        IntVector pScale = IntVector.fromMemorySegment(INTS, words, scales, LITTLE_ENDIAN);
        IntVector qScale =
            IntVector.fromMemorySegment(INTS, words, scales + 4L * LANES, LITTLE_ENDIAN);
        IntVector rScale =
            IntVector.fromMemorySegment(INTS, words, scales + 8L * LANES, LITTLE_ENDIAN);
        IntVector sScale =
            IntVector.fromMemorySegment(INTS, words, scales + 12L * LANES, LITTLE_ENDIAN);
        FloatVector aZero = ((FloatVector) pScale.and(0xff).convert(I2F, 0)).neg();
        FloatVector bZero = ((FloatVector) qScale.and(0xff).convert(I2F, 0)).neg();
        FloatVector cZero = ((FloatVector) rScale.and(0xff).convert(I2F, 0)).neg();
        FloatVector dZero = ((FloatVector) sScale.and(0xff).convert(I2F, 0)).neg();
        aSum =
            pScale
                .lanewise(ASHR, 3)
                .and(HALF_BITS)
                .reinterpretAsFloats()
                .mul(HALF_BIAS)
                .fma(aZero.fma(sum, a), aSum);
        bSum =
            qScale
                .lanewise(ASHR, 3)
                .and(HALF_BITS)
                .reinterpretAsFloats()
                .mul(HALF_BIAS)
                .fma(bZero.fma(sum, b), bSum);
        cSum =
            rScale
                .lanewise(ASHR, 3)
                .and(HALF_BITS)
                .reinterpretAsFloats()
                .mul(HALF_BIAS)
                .fma(cZero.fma(sum, c), cSum);
        dSum =
            sScale
                .lanewise(ASHR, 3)
                .and(HALF_BITS)
                .reinterpretAsFloats()
                .mul(HALF_BIAS)
                .fma(dZero.fma(sum, d), dSum);
        scales += scaleStride;
        codes += codeStride;
      }
      aSum.intoArray(y, i);
      bSum.intoArray(y, i + LANES);
      cSum.intoArray(y, i + 2 * LANES);
      dSum.intoArray(y, i + 3 * LANES);
    }
  }

  private static void dot4(CodeWords w, long block, float[] x, float[] sums, float[] y) {
    MemorySegment words = w.words();
    int runs = w.runs();
    long scaleStride = w.scaleStride();
    long codeStride = w.codeStride();
    for (int i = 0; i < BLOCK; i += 4 * LANES) {
      FloatVector aSum = FloatVector.zero(FLOATS);
      FloatVector bSum = aSum;
      FloatVector cSum = aSum;
      FloatVector dSum = aSum;
      long scales = block + (long) i * Integer.BYTES;
      long codes = scales + BLOCK_BYTES;
      for (int run = 0; run < runs; run++) {
        FloatVector a = FloatVector.zero(FLOATS);
        FloatVector b = a;
        FloatVector c = a;
        FloatVector d = a;
        int units = w.units(run);
        int k = run * w.runColumns();
        long o = codes;
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
          p = p.lanewise(LSHR, 16);
          q = q.lanewise(LSHR, 16);
          r = r.lanewise(LSHR, 16);
          s = s.lanewise(LSHR, 16);
          v = FloatVector.broadcast(FLOATS, x[k + 4]);
          a = ((FloatVector) p.and(0xf).convert(I2F, 0)).fma(v, a);
          b = ((FloatVector) q.and(0xf).convert(I2F, 0)).fma(v, b);
          c = ((FloatVector) r.and(0xf).convert(I2F, 0)).fma(v, c);
          d = ((FloatVector) s.and(0xf).convert(I2F, 0)).fma(v, d);
          v = FloatVector.broadcast(FLOATS, x[k + 5]);
          a = ((FloatVector) p.and(0xf0).convert(I2F, 0)).fma(v, a);
          b = ((FloatVector) q.and(0xf0).convert(I2F, 0)).fma(v, b);
          c = ((FloatVector) r.and(0xf0).convert(I2F, 0)).fma(v, c);
          d = ((FloatVector) s.and(0xf0).convert(I2F, 0)).fma(v, d);
          v = FloatVector.broadcast(FLOATS, x[k + 6]);
          a = ((FloatVector) p.and(0xf00).convert(I2F, 0)).fma(v, a);
          b = ((FloatVector) q.and(0xf00).convert(I2F, 0)).fma(v, b);
          c = ((FloatVector) r.and(0xf00).convert(I2F, 0)).fma(v, c);
          d = ((FloatVector) s.and(0xf00).convert(I2F, 0)).fma(v, d);
          v = FloatVector.broadcast(FLOATS, x[k + 7]);
          a = ((FloatVector) p.and(0xf000).convert(I2F, 0)).fma(v, a);
          b = ((FloatVector) q.and(0xf000).convert(I2F, 0)).fma(v, b);
          c = ((FloatVector) r.and(0xf000).convert(I2F, 0)).fma(v, c);
          d = ((FloatVector) s.and(0xf000).convert(I2F, 0)).fma(v, d);
        }
        FloatVector sum = FloatVector.broadcast(FLOATS, sums[run]);
        IntVector pScale = IntVector.fromMemorySegment(INTS, words, scales, LITTLE_ENDIAN);
        IntVector qScale =
            IntVector.fromMemorySegment(INTS, words, scales + 4L * LANES, LITTLE_ENDIAN);
        IntVector rScale =
            IntVector.fromMemorySegment(INTS, words, scales + 8L * LANES, LITTLE_ENDIAN);
        IntVector sScale =
            IntVector.fromMemorySegment(INTS, words, scales + 12L * LANES, LITTLE_ENDIAN);
        FloatVector aZero = ((FloatVector) pScale.and(0xff).convert(I2F, 0)).neg();
        FloatVector bZero = ((FloatVector) qScale.and(0xff).convert(I2F, 0)).neg();
        FloatVector cZero = ((FloatVector) rScale.and(0xff).convert(I2F, 0)).neg();
        FloatVector dZero = ((FloatVector) sScale.and(0xff).convert(I2F, 0)).neg();
        aSum =
            pScale
                .lanewise(ASHR, 3)
                .and(HALF_BITS)
                .reinterpretAsFloats()
                .mul(HALF_BIAS)
                .fma(aZero.fma(sum, a), aSum);
        bSum =
            qScale
                .lanewise(ASHR, 3)
                .and(HALF_BITS)
                .reinterpretAsFloats()
                .mul(HALF_BIAS)
                .fma(bZero.fma(sum, b), bSum);
        cSum =
            rScale
                .lanewise(ASHR, 3)
                .and(HALF_BITS)
                .reinterpretAsFloats()
                .mul(HALF_BIAS)
                .fma(cZero.fma(sum, c), cSum);
        dSum =
            sScale
                .lanewise(ASHR, 3)
                .and(HALF_BITS)
                .reinterpretAsFloats()
                .mul(HALF_BIAS)
                .fma(dZero.fma(sum, d), dSum);
        scales += scaleStride;
        codes += codeStride;
      }
      aSum.intoArray(y, i);
      bSum.intoArray(y, i + LANES);
      cSum.intoArray(y, i + 2 * LANES);
      dSum.intoArray(y, i + 3 * LANES);
    }
  }

  private static void dot2(CodeWords w, long block, float[] x, float[] sums, float[] y) {
    MemorySegment words = w.words();
    int runs = w.runs();
    long scaleStride = w.scaleStride();
    long codeStride = w.codeStride();
    for (int i = 0; i < BLOCK; i += 4 * LANES) {
      FloatVector aSum = FloatVector.zero(FLOATS);
      FloatVector bSum = aSum;
      FloatVector cSum = aSum;
      FloatVector dSum = aSum;
      long scales = block + (long) i * Integer.BYTES;
      long codes = scales + BLOCK_BYTES;
      for (int run = 0; run < runs; run++) {
        FloatVector a = FloatVector.zero(FLOATS);
        FloatVector b = a;
        FloatVector c = a;
        FloatVector d = a;
        int units = w.units(run);
        int k = run * w.runColumns();
        long o = codes;
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
        FloatVector sum = FloatVector.broadcast(FLOATS, sums[run]);
        IntVector pScale = IntVector.fromMemorySegment(INTS, words, scales, LITTLE_ENDIAN);
        IntVector qScale =
            IntVector.fromMemorySegment(INTS, words, scales + 4L * LANES, LITTLE_ENDIAN);
        IntVector rScale =
            IntVector.fromMemorySegment(INTS, words, scales + 8L * LANES, LITTLE_ENDIAN);
        IntVector sScale =
            IntVector.fromMemorySegment(INTS, words, scales + 12L * LANES, LITTLE_ENDIAN);
        FloatVector aZero = ((FloatVector) pScale.and(0xff).convert(I2F, 0)).neg();
        FloatVector bZero = ((FloatVector) qScale.and(0xff).convert(I2F, 0)).neg();
        FloatVector cZero = ((FloatVector) rScale.and(0xff).convert(I2F, 0)).neg();
        FloatVector dZero = ((FloatVector) sScale.and(0xff).convert(I2F, 0)).neg();
        aSum =
            pScale
                .lanewise(ASHR, 3)
                .and(HALF_BITS)
                .reinterpretAsFloats()
                .mul(HALF_BIAS)
                .fma(aZero.fma(sum, a), aSum);
        bSum =
            qScale
                .lanewise(ASHR, 3)
                .and(HALF_BITS)
                .reinterpretAsFloats()
                .mul(HALF_BIAS)
                .fma(bZero.fma(sum, b), bSum);
        cSum =
            rScale
                .lanewise(ASHR, 3)
                .and(HALF_BITS)
                .reinterpretAsFloats()
                .mul(HALF_BIAS)
                .fma(cZero.fma(sum, c), cSum);
        dSum =
            sScale
                .lanewise(ASHR, 3)
                .and(HALF_BITS)
                .reinterpretAsFloats()
                .mul(HALF_BIAS)
                .fma(dZero.fma(sum, d), dSum);
        scales += scaleStride;
        codes += codeStride;
      }
      aSum.intoArray(y, i);
      bSum.intoArray(y, i + LANES);
      cSum.intoArray(y, i + 2 * LANES);
      dSum.intoArray(y, i + 3 * LANES);
    }
  }

  private static void dot6(CodeWords w, long block, float[] x, float[] sums, float[] y) {
    MemorySegment words = w.words();
    int runs = w.runs();
    long scaleStride = w.scaleStride();
    long codeStride = w.codeStride();
    for (int i = 0; i < BLOCK; i += 4 * LANES) {
      FloatVector aSum = FloatVector.zero(FLOATS);
      FloatVector bSum = aSum;
      FloatVector cSum = aSum;
      FloatVector dSum = aSum;
      long scales = block + (long) i * Integer.BYTES;
      long codes = scales + BLOCK_BYTES;
      for (int run = 0; run < runs; run++) {
        FloatVector a = FloatVector.zero(FLOATS);
        FloatVector b = a;
        FloatVector c = a;
        FloatVector d = a;
        int units = w.units(run);
        int k = run * w.runColumns();
        long o = codes;
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
        FloatVector sum = FloatVector.broadcast(FLOATS, sums[run]);
        IntVector pScale = IntVector.fromMemorySegment(INTS, words, scales, LITTLE_ENDIAN);
        IntVector qScale =
            IntVector.fromMemorySegment(INTS, words, scales + 4L * LANES, LITTLE_ENDIAN);
        IntVector rScale =
            IntVector.fromMemorySegment(INTS, words, scales + 8L * LANES, LITTLE_ENDIAN);
        IntVector sScale =
            IntVector.fromMemorySegment(INTS, words, scales + 12L * LANES, LITTLE_ENDIAN);
        FloatVector aZero = ((FloatVector) pScale.and(0xff).convert(I2F, 0)).neg();
        FloatVector bZero = ((FloatVector) qScale.and(0xff).convert(I2F, 0)).neg();
        FloatVector cZero = ((FloatVector) rScale.and(0xff).convert(I2F, 0)).neg();
        FloatVector dZero = ((FloatVector) sScale.and(0xff).convert(I2F, 0)).neg();
        aSum =
            pScale
                .lanewise(ASHR, 3)
                .and(HALF_BITS)
                .reinterpretAsFloats()
                .mul(HALF_BIAS)
                .fma(aZero.fma(sum, a), aSum);
        bSum =
            qScale
                .lanewise(ASHR, 3)
                .and(HALF_BITS)
                .reinterpretAsFloats()
                .mul(HALF_BIAS)
                .fma(bZero.fma(sum, b), bSum);
        cSum =
            rScale
                .lanewise(ASHR, 3)
                .and(HALF_BITS)
                .reinterpretAsFloats()
                .mul(HALF_BIAS)
                .fma(cZero.fma(sum, c), cSum);
        dSum =
            sScale
                .lanewise(ASHR, 3)
                .and(HALF_BITS)
                .reinterpretAsFloats()
                .mul(HALF_BIAS)
                .fma(dZero.fma(sum, d), dSum);
        scales += scaleStride;
        codes += codeStride;
      }
      aSum.intoArray(y, i);
      bSum.intoArray(y, i + LANES);
      cSum.intoArray(y, i + 2 * LANES);
      dSum.intoArray(y, i + 3 * LANES);
    }
  }

  private static void dot3(CodeWords w, long block, float[] x, float[] sums, float[] y) {
    MemorySegment words = w.words();
    int runs = w.runs();
    long scaleStride = w.scaleStride();
    long codeStride = w.codeStride();
    for (int i = 0; i < BLOCK; i += 4 * LANES) {
      FloatVector aSum = FloatVector.zero(FLOATS);
      FloatVector bSum = aSum;
      FloatVector cSum = aSum;
      FloatVector dSum = aSum;
      long scales = block + (long) i * Integer.BYTES;
      long codes = scales + BLOCK_BYTES;
      for (int run = 0; run < runs; run++) {
        FloatVector a = FloatVector.zero(FLOATS);
        FloatVector b = a;
        FloatVector c = a;
        FloatVector d = a;
        int units = w.units(run);
        int k = run * w.runColumns();
        long o = codes;
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
        FloatVector sum = FloatVector.broadcast(FLOATS, sums[run]);
        IntVector pScale = IntVector.fromMemorySegment(INTS, words, scales, LITTLE_ENDIAN);
        IntVector qScale =
            IntVector.fromMemorySegment(INTS, words, scales + 4L * LANES, LITTLE_ENDIAN);
        IntVector rScale =
            IntVector.fromMemorySegment(INTS, words, scales + 8L * LANES, LITTLE_ENDIAN);
        IntVector sScale =
            IntVector.fromMemorySegment(INTS, words, scales + 12L * LANES, LITTLE_ENDIAN);
        FloatVector aZero = ((FloatVector) pScale.and(0xff).convert(I2F, 0)).neg();
        FloatVector bZero = ((FloatVector) qScale.and(0xff).convert(I2F, 0)).neg();
        FloatVector cZero = ((FloatVector) rScale.and(0xff).convert(I2F, 0)).neg();
        FloatVector dZero = ((FloatVector) sScale.and(0xff).convert(I2F, 0)).neg();
        aSum =
            pScale
                .lanewise(ASHR, 3)
                .and(HALF_BITS)
                .reinterpretAsFloats()
                .mul(HALF_BIAS)
                .fma(aZero.fma(sum, a), aSum);
        bSum =
            qScale
                .lanewise(ASHR, 3)
                .and(HALF_BITS)
                .reinterpretAsFloats()
                .mul(HALF_BIAS)
                .fma(bZero.fma(sum, b), bSum);
        cSum =
            rScale
                .lanewise(ASHR, 3)
                .and(HALF_BITS)
                .reinterpretAsFloats()
                .mul(HALF_BIAS)
                .fma(cZero.fma(sum, c), cSum);
        dSum =
            sScale
                .lanewise(ASHR, 3)
                .and(HALF_BITS)
                .reinterpretAsFloats()
                .mul(HALF_BIAS)
                .fma(dZero.fma(sum, d), dSum);
        scales += scaleStride;
        codes += codeStride;
      }
      aSum.intoArray(y, i);
      bSum.intoArray(y, i + LANES);
      cSum.intoArray(y, i + 2 * LANES);
      dSum.intoArray(y, i + 3 * LANES);
    }
  }
}
