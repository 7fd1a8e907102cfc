package dev.nibble.quantizer.tensor;

import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.PackedLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/**
 * Matrix products in double precision over weights as they are stored. A row of weights is decoded
 * once and meets every token. Not thread-safe.
 */
final class ScalarMatmul {
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

  private double[] weights = {};
  private byte[] codes = {};

  /** Weights read in place. */
  record Matrix(WeightMatrix weights) implements PreparedMatrix {
    @Override
    public int rows() {
      return weights.rows();
    }

    @Override
    public int columns() {
      return weights.columns();
    }

    @Override
    public long bytes() {
      return 0;
    }
  }

  void multiply(float[] x, int xOffset, int tokens, WeightMatrix w, float[] y, int yOffset) {
    int rows = w.rows();
    int columns = w.columns();
    if (weights.length < columns) {
      weights = new double[columns];
    }
    for (int n = 0; n < rows; n++) {
      switch (w) {
        case WeightMatrix.Dense dense -> decode(dense, n);
        case WeightMatrix.Packed packed -> decode(packed, n);
      }
      for (int t = 0; t < tokens; t++) {
        double sum = 0;
        for (int k = 0; k < columns; k++) {
          sum += x[xOffset + t * columns + k] * weights[k];
        }
        y[yOffset + t * rows + n] = (float) sum;
      }
    }
  }

  void multiply(QuantizedActivations x, WeightMatrix.Packed w, float[] y, int yOffset) {
    PackedLayout layout = w.layout();
    int rows = layout.rows();
    int columns = layout.columns();
    int group = layout.groupSize() == 0 ? columns : layout.groupSize();
    for (int n = 0; n < rows; n++) {
      unpack(w, n);
      int first = n % layout.tileRows() * layout.paddedColumns();
      for (int t = 0; t < x.tokens; t++) {
        double sum = 0;
        for (int g = 0; g < layout.groups(); g++) {
          int zero = zero(w, n, g);
          double dot = 0;
          int end = Math.min(columns, (g + 1) * group);
          for (int k = g * group; k < end; k++) {
            int code = Byte.toUnsignedInt(codes[first + k]);
            dot += (code - zero) * ((double) x.codes[t * columns + k] - x.zeros[t]);
          }
          sum += scale(w, n, g) * dot;
        }
        y[yOffset + t * rows + n] = (float) (x.scales[t] * sum);
      }
    }
  }

  private void decode(WeightMatrix.Dense w, int row) {
    int columns = w.columns();
    MemorySegment data = w.data();
    long first = (long) row * columns;
    for (int k = 0; k < columns; k++) {
      weights[k] = element(w.dtype(), data, first + k);
    }
  }

  private static float element(DType dtype, MemorySegment data, long index) {
    return switch (dtype) {
      case F32 -> data.getAtIndex(FLOAT, index);
      case F16 -> Float.float16ToFloat(data.getAtIndex(SHORT, index));
      case BF16 -> Float.intBitsToFloat(data.getAtIndex(SHORT, index) << 16);
      case I8, U8, U16, I32, I64 ->
          throw new IllegalArgumentException("weights of type " + dtype + ": expected floats");
    };
  }

  private void decode(WeightMatrix.Packed w, int row) {
    PackedLayout layout = w.layout();
    unpack(w, row);
    int first = row % layout.tileRows() * layout.paddedColumns();
    for (int k = 0; k < layout.columns(); k++) {
      int g = layout.group(k);
      double scale = scale(w, row, g);
      weights[k] = (Byte.toUnsignedInt(codes[first + k]) - zero(w, row, g)) * scale;
    }
  }

  /** Unpacks the rows of a row's tile when it is the first of them. */
  private void unpack(WeightMatrix.Packed w, int row) {
    PackedLayout layout = w.layout();
    int tileRows = layout.tileRows();
    if (row % tileRows == 0) {
      int size = Math.multiplyExact(tileRows, layout.paddedColumns());
      if (codes.length < size) {
        codes = new byte[size];
      }
      layout.unpackRows(w.qweight(), row, tileRows, 0, layout.paddedColumns(), codes);
    }
  }

  private static float scale(WeightMatrix.Packed w, int row, int group) {
    return Float.float16ToFloat(w.scales().getAtIndex(SHORT, w.layout().scaleIndex(row, group)));
  }

  private static int zero(WeightMatrix.Packed w, int row, int group) {
    @Nullable MemorySegment zeros = w.zeros();
    return zeros == null
        ? w.layout().impliedZero()
        : Byte.toUnsignedInt(zeros.get(ValueLayout.JAVA_BYTE, w.layout().scaleIndex(row, group)));
  }
}
