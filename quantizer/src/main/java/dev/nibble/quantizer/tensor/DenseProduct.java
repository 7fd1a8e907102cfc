package dev.nibble.quantizer.tensor;

import static dev.nibble.quantizer.tensor.Lanes.FLOATS;
import static dev.nibble.quantizer.tensor.Lanes.INTS;
import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.S2I;

import dev.nibble.quantizer.format.DType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Objects;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;
import org.jspecify.annotations.Nullable;

/**
 * Products of float weights, read where they lie: a lane is a column. Each output is summed in one
 * order, whatever the number of tokens and threads: lane by lane one chain of fused multiply-adds
 * over ascending columns, then the lanes, then the columns that fill no vector.
 *
 * <p>Not thread-safe; rows are shared among the worker threads.
 */
final class DenseProduct {
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(LITTLE_ENDIAN);
  private static final int LANES = FLOATS.length();

  /** As many shorts as a vector has floats. */
  private static final VectorSpecies<Short> HALVES =
      VectorSpecies.of(short.class, VectorShape.forBitSize(Lanes.bits() / 2));

  /** Rows that meet an input vector while it is in a register. */
  private static final int ROWS = 4;

  /** Columns converted at a time, so that they stay in the first cache. */
  private static final int COLUMNS = 1024;

  private static final float[] NOTHING = {};

  private final WorkerThreads workers;
  private final Scratch[] scratch;
  private final WorkerThreads.RangeTask multiplyRows = this::multiplyRows;

  private @Nullable Matrix weights;
  private float[] x = NOTHING;
  private int xOffset;
  private int tokens;
  private float[] y = NOTHING;
  private int yOffset;

  DenseProduct(WorkerThreads workers) {
    this.workers = workers;
    scratch = new Scratch[workers.threads()];
    Arrays.setAll(scratch, i -> new Scratch());
  }

  /** Weights read in place. */
  record Matrix(DType dtype, int rows, int columns, MemorySegment data) implements PreparedMatrix {
    static Matrix of(WeightMatrix.Dense weights) {
      switch (weights.dtype()) {
        case F32, F16, BF16 -> {}
        case I8, U8, U16, I32, I64 ->
            throw new IllegalArgumentException(
                "weights of type " + weights.dtype() + ": expected floats");
      }
      return new Matrix(weights.dtype(), weights.rows(), weights.columns(), weights.data());
    }

    @Override
    public long bytes() {
      return 0;
    }

    float get(long index) {
      return switch (dtype) {
        case F32 -> data.getAtIndex(FLOAT, index);
        case F16 -> Float.float16ToFloat(data.getAtIndex(SHORT, index));
        default -> Float.intBitsToFloat(data.getAtIndex(SHORT, index) << 16);
      };
    }
  }

  void multiply(float[] x, int xOffset, int tokens, Matrix w, float[] y, int yOffset) {
    this.x = x;
    this.xOffset = xOffset;
    this.tokens = tokens;
    this.y = y;
    this.yOffset = yOffset;
    weights = w;
    for (Scratch s : scratch) {
      if (s.sums.length < tokens * ROWS * LANES) {
        s.sums = new float[Math.multiplyExact(tokens, ROWS * LANES)];
      }
    }
    workers.run(Math.ceilDiv(w.rows(), ROWS), multiplyRows);
    this.x = NOTHING;
    this.y = NOTHING;
    weights = null;
  }

  private void multiplyRows(int from, int to, int worker) {
    Matrix w = Objects.requireNonNull(weights);
    Scratch s = scratch[worker];
    int whole = FLOATS.loopBound(w.columns());
    for (int unit = from; unit < to; unit++) {
      int row = unit * ROWS;
      int rows = Math.min(ROWS, w.rows() - row);
      Arrays.fill(s.sums, 0, tokens * ROWS * LANES, 0);
      for (int column = 0; column < whole; column += COLUMNS) {
        int columns = Math.min(COLUMNS, whole - column);
        for (int r = 0; r < rows; r++) {
          convert(w, (long) (row + r) * w.columns() + column, columns, s.panel, r * COLUMNS);
        }
        for (int t = 0; t < tokens; t++) {
          dot(s.panel, columns, x, xOffset + t * w.columns() + column, s.sums, t * ROWS * LANES);
        }
      }
      for (int t = 0; t < tokens; t++) {
        for (int r = 0; r < rows; r++) {
          float sum = lanes(s.sums, (t * ROWS + r) * LANES);
          y[yOffset + t * w.rows() + row + r] = rest(w, row + r, t, whole, sum);
        }
      }
    }
  }

  /** In fixed pairs: {@code reduceLanes} may add in any order. */
  private static float lanes(float[] sums, int at) {
    for (int half = LANES / 2; half > 0; half /= 2) {
      for (int i = at; i < at + half; i++) {
        sums[i] += sums[i + half];
      }
    }
    return sums[at];
  }

  private float rest(Matrix w, int row, int token, int from, float sum) {
    for (int k = from; k < w.columns(); k++) {
      sum =
          Math.fma(w.get((long) row * w.columns() + k), x[xOffset + token * w.columns() + k], sum);
    }
    return sum;
  }

  private static void convert(Matrix w, long index, int columns, float[] panel, int at) {
    MemorySegment data = w.data();
    switch (w.dtype()) {
      case F32 -> MemorySegment.copy(data, FLOAT, index * Float.BYTES, panel, at, columns);
      case F16 -> convertHalves(data, index * Short.BYTES, columns, panel, at);
      default -> convertBrains(data, index * Short.BYTES, columns, panel, at);
    }
  }

  private static void convertHalves(
      MemorySegment data, long from, int columns, float[] panel, int at) {
    for (int i = 0; i < columns; i += LANES) {
      ShortVector v =
          ShortVector.fromMemorySegment(HALVES, data, from + (long) i * Short.BYTES, LITTLE_ENDIAN);
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
      ShortVector v =
          ShortVector.fromMemorySegment(HALVES, data, from + (long) i * Short.BYTES, LITTLE_ENDIAN);
      ((IntVector) v.convertShape(S2I, INTS, 0))
          .lanewise(LSHL, 16)
          .reinterpretAsFloats()
          .intoArray(panel, at + i);
    }
  }

  private static void dot(float[] panel, int columns, float[] x, int xAt, float[] sums, int at) {
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

  /** What a thread needs for itself. */
  private static final class Scratch {
    final float[] panel = new float[ROWS * COLUMNS];
    float[] sums = NOTHING;
  }
}
