package dev.nibble.quantizer.tensor;

import static dev.nibble.quantizer.tensor.Lanes.FLOATS;
import static dev.nibble.quantizer.tensor.Lanes.INTS;
import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.S2I;

import dev.nibble.quantizer.format.DType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/** Some columns of a few rows of float weights, and their products with a token's inputs. */
final class DensePanels {
  /** Rows that meet an input vector while it is in a register. */
  static final int ROWS = 4;

  /** Tokens of {@link #dotFour}. */
  static final int TILE = 4;

  /** Columns of a panel, so that it stays in the first cache. */
  static final int COLUMNS = 1024;

  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(LITTLE_ENDIAN);
  private static final int LANES = FLOATS.length();

  /** As many shorts as a vector has floats. */
  private static final VectorSpecies<Short> HALVES =
      VectorSpecies.of(short.class, VectorShape.forBitSize(Lanes.bits() / 2));

  private DensePanels() {}

  /** Converts whole vectors of weights from element {@code index}. */
  static void convert(
      DType dtype, MemorySegment data, long index, int columns, float[] panel, int at) {
    switch (dtype) {
      case F32 -> copy(data, index, columns, panel, at);
      case F16 -> convertHalves(data, index * Short.BYTES, columns, panel, at);
      default -> convertBrains(data, index * Short.BYTES, columns, panel, at);
    }
  }

  static void copy(MemorySegment data, long index, int columns, float[] panel, int at) {
    MemorySegment.copy(data, FLOAT, index * Float.BYTES, panel, at, columns);
  }

  private static void convertHalves(
      MemorySegment data, long from, int columns, float[] panel, int at) {
    for (int i = 0; i < columns; i += LANES) {
      long o = from + (long) i * Short.BYTES;
      ShortVector v = ShortVector.fromMemorySegment(HALVES, data, o, LITTLE_ENDIAN);
      ((IntVector) v.convertShape(S2I, INTS, 0))
          .lanewise(LSHL, 13)
          .and(PanelKernels.HALF_BITS)
          .reinterpretAsFloats()
          .mul(PanelKernels.HALF_BIAS)
          .intoArray(panel, at + i);
    }
  }

  private static void convertBrains(
      MemorySegment data, long from, int columns, float[] panel, int at) {
    for (int i = 0; i < columns; i += LANES) {
      long o = from + (long) i * Short.BYTES;
      ShortVector v = ShortVector.fromMemorySegment(HALVES, data, o, LITTLE_ENDIAN);
      ((IntVector) v.convertShape(S2I, INTS, 0))
          .lanewise(LSHL, 16)
          .reinterpretAsFloats()
          .intoArray(panel, at + i);
    }
  }

  /** sums[row, lane] += products of the lane's columns, {@link #ROWS} rows from {@code at}. */
  static void dot(float[] panel, int columns, float[] x, int xAt, float[] sums, int at) {
    FloatVector a = FloatVector.fromArray(FLOATS, sums, at);
    FloatVector b = FloatVector.fromArray(FLOATS, sums, at + LANES);
    FloatVector c = FloatVector.fromArray(FLOATS, sums, at + 2 * LANES);
    FloatVector d = FloatVector.fromArray(FLOATS, sums, at + 3 * LANES);
    for (int i = 0; i < columns; i += LANES) {
      FloatVector v = FloatVector.fromArray(FLOATS, x, xAt + i);
      a = FloatVector.fromArray(FLOATS, panel, i).fma(v, a);
      b = FloatVector.fromArray(FLOATS, panel, i + COLUMNS).fma(v, b);
      c = FloatVector.fromArray(FLOATS, panel, i + 2 * COLUMNS).fma(v, c);
      d = FloatVector.fromArray(FLOATS, panel, i + 3 * COLUMNS).fma(v, d);
    }
    a.intoArray(sums, at);
    b.intoArray(sums, at + LANES);
    c.intoArray(sums, at + 2 * LANES);
    d.intoArray(sums, at + 3 * LANES);
  }

  /**
   * As {@link #dot} for four tokens, {@code stride} apart in x and {@code ROWS * LANES} in sums.
   */
  static void dotFour(
      float[] panel, int columns, float[] x, int xAt, int stride, float[] sums, int at) {
    FloatVector a0 = FloatVector.fromArray(FLOATS, sums, at);
    FloatVector b0 = FloatVector.fromArray(FLOATS, sums, at + LANES);
    FloatVector c0 = FloatVector.fromArray(FLOATS, sums, at + 2 * LANES);
    FloatVector d0 = FloatVector.fromArray(FLOATS, sums, at + 3 * LANES);
    FloatVector a1 = FloatVector.fromArray(FLOATS, sums, at + 4 * LANES);
    FloatVector b1 = FloatVector.fromArray(FLOATS, sums, at + 5 * LANES);
    FloatVector c1 = FloatVector.fromArray(FLOATS, sums, at + 6 * LANES);
    FloatVector d1 = FloatVector.fromArray(FLOATS, sums, at + 7 * LANES);
    FloatVector a2 = FloatVector.fromArray(FLOATS, sums, at + 8 * LANES);
    FloatVector b2 = FloatVector.fromArray(FLOATS, sums, at + 9 * LANES);
    FloatVector c2 = FloatVector.fromArray(FLOATS, sums, at + 10 * LANES);
    FloatVector d2 = FloatVector.fromArray(FLOATS, sums, at + 11 * LANES);
    FloatVector a3 = FloatVector.fromArray(FLOATS, sums, at + 12 * LANES);
    FloatVector b3 = FloatVector.fromArray(FLOATS, sums, at + 13 * LANES);
    FloatVector c3 = FloatVector.fromArray(FLOATS, sums, at + 14 * LANES);
    FloatVector d3 = FloatVector.fromArray(FLOATS, sums, at + 15 * LANES);
    for (int i = 0; i < columns; i += LANES) {
      FloatVector a = FloatVector.fromArray(FLOATS, panel, i);
      FloatVector b = FloatVector.fromArray(FLOATS, panel, i + COLUMNS);
      FloatVector c = FloatVector.fromArray(FLOATS, panel, i + 2 * COLUMNS);
      FloatVector d = FloatVector.fromArray(FLOATS, panel, i + 3 * COLUMNS);
      FloatVector v = FloatVector.fromArray(FLOATS, x, xAt + i);
      a0 = a.fma(v, a0);
      b0 = b.fma(v, b0);
      c0 = c.fma(v, c0);
      d0 = d.fma(v, d0);
      v = FloatVector.fromArray(FLOATS, x, xAt + i + stride);
      a1 = a.fma(v, a1);
      b1 = b.fma(v, b1);
      c1 = c.fma(v, c1);
      d1 = d.fma(v, d1);
      v = FloatVector.fromArray(FLOATS, x, xAt + i + 2 * stride);
      a2 = a.fma(v, a2);
      b2 = b.fma(v, b2);
      c2 = c.fma(v, c2);
      d2 = d.fma(v, d2);
      v = FloatVector.fromArray(FLOATS, x, xAt + i + 3 * stride);
      a3 = a.fma(v, a3);
      b3 = b.fma(v, b3);
      c3 = c.fma(v, c3);
      d3 = d.fma(v, d3);
    }
    a0.intoArray(sums, at);
    b0.intoArray(sums, at + LANES);
    c0.intoArray(sums, at + 2 * LANES);
    d0.intoArray(sums, at + 3 * LANES);
    a1.intoArray(sums, at + 4 * LANES);
    b1.intoArray(sums, at + 5 * LANES);
    c1.intoArray(sums, at + 6 * LANES);
    d1.intoArray(sums, at + 7 * LANES);
    a2.intoArray(sums, at + 8 * LANES);
    b2.intoArray(sums, at + 9 * LANES);
    c2.intoArray(sums, at + 10 * LANES);
    d2.intoArray(sums, at + 11 * LANES);
    a3.intoArray(sums, at + 12 * LANES);
    b3.intoArray(sums, at + 13 * LANES);
    c3.intoArray(sums, at + 14 * LANES);
    d3.intoArray(sums, at + 15 * LANES);
  }

  /**
   * As {@link #convert} of {@link #ROWS} whole rows and {@link #dot}, without the panel in between.
   *
   * @param index element of the first row
   * @param stride elements from row to row
   */
  static void dot(
      DType dtype,
      MemorySegment data,
      long index,
      int stride,
      int columns,
      float[] x,
      int xAt,
      float[] sums,
      int at) {
    switch (dtype) {
      case F32 -> dotFloats(data, index, stride, columns, x, xAt, sums, at);
      case F16 -> dotHalves(data, index, stride, columns, x, xAt, sums, at);
      default -> dotBrains(data, index, stride, columns, x, xAt, sums, at);
    }
  }

  private static void dotFloats(
      MemorySegment data,
      long index,
      int stride,
      int columns,
      float[] x,
      int xAt,
      float[] sums,
      int at) {
    long p = index * Float.BYTES;
    long q = p + (long) stride * Float.BYTES;
    long r = q + (long) stride * Float.BYTES;
    long s = r + (long) stride * Float.BYTES;
    FloatVector a = FloatVector.fromArray(FLOATS, sums, at);
    FloatVector b = FloatVector.fromArray(FLOATS, sums, at + LANES);
    FloatVector c = FloatVector.fromArray(FLOATS, sums, at + 2 * LANES);
    FloatVector d = FloatVector.fromArray(FLOATS, sums, at + 3 * LANES);
    for (int i = 0; i < columns; i += LANES) {
      FloatVector v = FloatVector.fromArray(FLOATS, x, xAt + i);
      long o = (long) i * Float.BYTES;
      a = FloatVector.fromMemorySegment(FLOATS, data, p + o, LITTLE_ENDIAN).fma(v, a);
      b = FloatVector.fromMemorySegment(FLOATS, data, q + o, LITTLE_ENDIAN).fma(v, b);
      c = FloatVector.fromMemorySegment(FLOATS, data, r + o, LITTLE_ENDIAN).fma(v, c);
      d = FloatVector.fromMemorySegment(FLOATS, data, s + o, LITTLE_ENDIAN).fma(v, d);
    }
    a.intoArray(sums, at);
    b.intoArray(sums, at + LANES);
    c.intoArray(sums, at + 2 * LANES);
    d.intoArray(sums, at + 3 * LANES);
  }

  private static void dotHalves(
      MemorySegment data,
      long index,
      int stride,
      int columns,
      float[] x,
      int xAt,
      float[] sums,
      int at) {
    long p = index * Short.BYTES;
    long q = p + (long) stride * Short.BYTES;
    long r = q + (long) stride * Short.BYTES;
    long s = r + (long) stride * Short.BYTES;
    FloatVector a = FloatVector.fromArray(FLOATS, sums, at);
    FloatVector b = FloatVector.fromArray(FLOATS, sums, at + LANES);
    FloatVector c = FloatVector.fromArray(FLOATS, sums, at + 2 * LANES);
    FloatVector d = FloatVector.fromArray(FLOATS, sums, at + 3 * LANES);
    for (int i = 0; i < columns; i += LANES) {
      FloatVector v = FloatVector.fromArray(FLOATS, x, xAt + i);
      long o = (long) i * Short.BYTES;
      ShortVector aHalf = ShortVector.fromMemorySegment(HALVES, data, p + o, LITTLE_ENDIAN);
      a =
          ((IntVector) aHalf.convertShape(S2I, INTS, 0))
              .lanewise(LSHL, 13)
              .and(PanelKernels.HALF_BITS)
              .reinterpretAsFloats()
              .mul(PanelKernels.HALF_BIAS)
              .fma(v, a);
      ShortVector bHalf = ShortVector.fromMemorySegment(HALVES, data, q + o, LITTLE_ENDIAN);
      b =
          ((IntVector) bHalf.convertShape(S2I, INTS, 0))
              .lanewise(LSHL, 13)
              .and(PanelKernels.HALF_BITS)
              .reinterpretAsFloats()
              .mul(PanelKernels.HALF_BIAS)
              .fma(v, b);
      ShortVector cHalf = ShortVector.fromMemorySegment(HALVES, data, r + o, LITTLE_ENDIAN);
      c =
          ((IntVector) cHalf.convertShape(S2I, INTS, 0))
              .lanewise(LSHL, 13)
              .and(PanelKernels.HALF_BITS)
              .reinterpretAsFloats()
              .mul(PanelKernels.HALF_BIAS)
              .fma(v, c);
      ShortVector dHalf = ShortVector.fromMemorySegment(HALVES, data, s + o, LITTLE_ENDIAN);
      d =
          ((IntVector) dHalf.convertShape(S2I, INTS, 0))
              .lanewise(LSHL, 13)
              .and(PanelKernels.HALF_BITS)
              .reinterpretAsFloats()
              .mul(PanelKernels.HALF_BIAS)
              .fma(v, d);
    }
    a.intoArray(sums, at);
    b.intoArray(sums, at + LANES);
    c.intoArray(sums, at + 2 * LANES);
    d.intoArray(sums, at + 3 * LANES);
  }

  private static void dotBrains(
      MemorySegment data,
      long index,
      int stride,
      int columns,
      float[] x,
      int xAt,
      float[] sums,
      int at) {
    long p = index * Short.BYTES;
    long q = p + (long) stride * Short.BYTES;
    long r = q + (long) stride * Short.BYTES;
    long s = r + (long) stride * Short.BYTES;
    FloatVector a = FloatVector.fromArray(FLOATS, sums, at);
    FloatVector b = FloatVector.fromArray(FLOATS, sums, at + LANES);
    FloatVector c = FloatVector.fromArray(FLOATS, sums, at + 2 * LANES);
    FloatVector d = FloatVector.fromArray(FLOATS, sums, at + 3 * LANES);
    for (int i = 0; i < columns; i += LANES) {
      FloatVector v = FloatVector.fromArray(FLOATS, x, xAt + i);
      long o = (long) i * Short.BYTES;
      ShortVector aHalf = ShortVector.fromMemorySegment(HALVES, data, p + o, LITTLE_ENDIAN);
      a =
          ((IntVector) aHalf.convertShape(S2I, INTS, 0))
              .lanewise(LSHL, 16)
              .reinterpretAsFloats()
              .fma(v, a);
      ShortVector bHalf = ShortVector.fromMemorySegment(HALVES, data, q + o, LITTLE_ENDIAN);
      b =
          ((IntVector) bHalf.convertShape(S2I, INTS, 0))
              .lanewise(LSHL, 16)
              .reinterpretAsFloats()
              .fma(v, b);
      ShortVector cHalf = ShortVector.fromMemorySegment(HALVES, data, r + o, LITTLE_ENDIAN);
      c =
          ((IntVector) cHalf.convertShape(S2I, INTS, 0))
              .lanewise(LSHL, 16)
              .reinterpretAsFloats()
              .fma(v, c);
      ShortVector dHalf = ShortVector.fromMemorySegment(HALVES, data, s + o, LITTLE_ENDIAN);
      d =
          ((IntVector) dHalf.convertShape(S2I, INTS, 0))
              .lanewise(LSHL, 16)
              .reinterpretAsFloats()
              .fma(v, d);
    }
    a.intoArray(sums, at);
    b.intoArray(sums, at + LANES);
    c.intoArray(sums, at + 2 * LANES);
    d.intoArray(sums, at + 3 * LANES);
  }
}
