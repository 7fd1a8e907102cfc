package dev.nibble.quantizer.tensor;

import static dev.nibble.quantizer.tensor.DensePanels.COLUMNS;
import static dev.nibble.quantizer.tensor.DensePanels.ROWS;
import static dev.nibble.quantizer.tensor.DensePanels.TILE;
import static java.nio.ByteOrder.LITTLE_ENDIAN;

import dev.nibble.quantizer.format.DType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Objects;
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
  private static final int LANES = Lanes.COUNT;

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
  private boolean compiled;

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

  /**
   * Multiplies.
   *
   * @param compiled whether to use the vector kernels
   */
  void multiply(
      float[] x, int xOffset, int tokens, Matrix w, boolean compiled, float[] y, int yOffset) {
    this.compiled = compiled;
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

  /** As {@link PackedProduct#sampleOfOne}. */
  static Runnable sampleOfOne(Matrix w) {
    int columns = sampleColumns(w);
    float[] x = new float[columns];
    float[] sums = new float[ROWS * LANES];
    return () -> DensePanels.dot(w.dtype(), w.data(), 0, 0, columns, x, 0, sums, 0);
  }

  /** As {@link PackedProduct#sampleOfMany}. */
  static Runnable sampleOfMany(Matrix w) {
    int columns = sampleColumns(w);
    float[] x = new float[columns];
    float[] sums = new float[TILE * ROWS * LANES];
    float[] panel = new float[ROWS * COLUMNS];
    return () -> {
      DensePanels.convert(w.dtype(), w.data(), 0, columns, panel, 0);
      DensePanels.dot(panel, columns, x, 0, sums, 0);
      DensePanels.dotFour(panel, columns, x, 0, 0, sums, 0);
    };
  }

  private static int sampleColumns(Matrix w) {
    return Math.min(16 * LANES, Lanes.bound(w.columns()));
  }

  private void multiplyRows(int from, int to, int worker) {
    Matrix w = Objects.requireNonNull(weights);
    Scratch s = scratch[worker];
    int whole = Lanes.bound(w.columns());
    for (int unit = from; unit < to; unit++) {
      int row = unit * ROWS;
      int rows = Math.min(ROWS, w.rows() - row);
      Arrays.fill(s.sums, 0, tokens * ROWS * LANES, 0);
      if (compiled && tokens == 1 && rows == ROWS) {
        long index = (long) row * w.columns();
        DensePanels.dot(w.dtype(), w.data(), index, w.columns(), whole, x, xOffset, s.sums, 0);
      } else {
        for (int column = 0; column < whole; column += COLUMNS) {
          multiplyPanel(w, row, rows, column, Math.min(COLUMNS, whole - column), s);
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

  private void multiplyPanel(Matrix w, int row, int rows, int column, int columns, Scratch s) {
    for (int r = 0; r < rows; r++) {
      long index = (long) (row + r) * w.columns() + column;
      if (compiled) {
        DensePanels.convert(w.dtype(), w.data(), index, columns, s.panel, r * COLUMNS);
      } else {
        s.plain.convert(w.dtype(), w.data(), index, columns, s.panel, r * COLUMNS);
      }
    }
    int at = xOffset + column;
    int t = 0;
    if (compiled) {
      for (; t <= tokens - TILE; t += TILE) {
        int in = at + t * w.columns();
        DensePanels.dotFour(s.panel, columns, x, in, w.columns(), s.sums, t * ROWS * LANES);
      }
    }
    for (; t < tokens; t++) {
      int in = at + t * w.columns();
      if (compiled) {
        DensePanels.dot(s.panel, columns, x, in, s.sums, t * ROWS * LANES);
      } else {
        PlainKernels.dot(s.panel, columns, x, in, s.sums, t * ROWS * LANES);
      }
    }
  }

  /** In a fixed order: {@code reduceLanes} may add in any. */
  private static float lanes(float[] sums, int at) {
    float a = 0;
    float b = 0;
    float c = 0;
    float d = 0;
    for (int i = at; i < at + LANES; i += 4) {
      a += sums[i];
      b += sums[i + 1];
      c += sums[i + 2];
      d += sums[i + 3];
    }
    return (a + b) + (c + d);
  }

  private float rest(Matrix w, int row, int token, int from, float sum) {
    for (int k = from; k < w.columns(); k++) {
      sum =
          Math.fma(w.get((long) row * w.columns() + k), x[xOffset + token * w.columns() + k], sum);
    }
    return sum;
  }

  /** What a thread needs for itself. */
  private static final class Scratch {
    final PlainKernels plain = new PlainKernels();
    final float[] panel = new float[ROWS * COLUMNS];
    float[] sums = NOTHING;
  }
}
