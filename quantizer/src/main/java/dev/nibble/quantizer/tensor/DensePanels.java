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
}
