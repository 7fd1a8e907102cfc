package dev.nibble.runtime.engine;

import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.tensor.PreparedMatrix;
import dev.nibble.quantizer.tensor.WeightMatrix;
import dev.nibble.runtime.engine.TensorCore.Halves;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Weights as kernels multiply them: for a prompt as halves, by the sums of tensor cores; exactly
 * for a decode step, and codes where a row has one scale.
 *
 * @param source the weights
 * @param halves scale (code - zero), or dense weights, rounded to halves
 * @param scales of the rows, where each has one; else empty
 * @param exact code - zero where a row has a scale, the weights elsewhere
 * @param rowSums sums of the weights of the rows
 * @param bias of the rows
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
record HalfMatrix(
    WeightMatrix source,
    Halves halves,
    float[] scales,
    float[] exact,
    float[] rowSums,
    float[] bias)
    implements PreparedMatrix {
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  static HalfMatrix of(WeightMatrix weights, float @Nullable [] bias) {
    float[] added = bias == null ? new float[weights.rows()] : bias;
    return switch (weights) {
      case WeightMatrix.Dense dense -> of(dense, added);
      case WeightMatrix.Packed packed -> of(packed, added);
    };
  }

  private static HalfMatrix of(WeightMatrix.Dense weights, float[] bias) {
    int columns = weights.columns();
    float[] values = new float[weights.rows() * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = Halves.round(element(weights, i));
    }
    Halves halves = Halves.of(values, 0, values.length);
    float[] ones = new float[columns];
    Arrays.fill(ones, 1);
    float[] rowSums = new float[weights.rows()];
    for (int n = 0; n < rowSums.length; n++) {
      rowSums[n] = TensorCore.add(0, Halves.of(ones, 0, columns), 0, halves, n * columns, columns);
    }
    return new HalfMatrix(weights, halves, new float[0], values, rowSums, bias);
  }

  private static float element(WeightMatrix.Dense weights, int i) {
    MemorySegment data = weights.data();
    return switch (weights.dtype()) {
      case F32 -> data.get(FLOAT, (long) Float.BYTES * i);
      case F16 -> Float.float16ToFloat(data.get(SHORT, (long) Short.BYTES * i));
      case BF16 -> Float.intBitsToFloat(data.get(SHORT, (long) Short.BYTES * i) << Short.SIZE);
      default -> throw new IllegalArgumentException("weights of type " + weights.dtype());
    };
  }

  private static HalfMatrix of(WeightMatrix.Packed weights, float[] bias) {
    PackedLayout layout = weights.layout();
    int columns = layout.columns();
    int group = layout.groupSize() == 0 ? columns : layout.groupSize();
    float[] exact = new float[layout.rows() * columns];
    Halves halves = new Halves(exact.length);
    float[] scales = new float[layout.groupSize() == 0 ? layout.rows() : 0];
    float[] rowSums = new float[layout.rows()];
    MemorySegment zeros = weights.zeros();
    for (int n = 0; n < layout.rows(); n++) {
      for (int first = 0; first < columns; first += group) {
        long at = layout.scaleIndex(n, layout.group(first));
        float scale = Float.float16ToFloat(weights.scales().get(SHORT, Short.BYTES * at));
        int zero =
            zeros == null
                ? layout.impliedZero()
                : Byte.toUnsignedInt(zeros.get(ValueLayout.JAVA_BYTE, at));
        int sum = 0;
        for (int k = first; k < Math.min(columns, first + group); k++) {
          int unit = layout.code(weights.qweight(), n, k) - zero;
          halves.set(n * columns + k, unit * scale);
          exact[n * columns + k] = scales.length > 0 ? unit : unit * scale;
          sum += unit;
        }
        rowSums[n] = Math.fma(scale, sum, rowSums[n]);
        if (scales.length > 0) {
          scales[n] = scale;
        }
      }
    }
    return new HalfMatrix(weights, halves, scales, exact, rowSums, bias);
  }

  /** y = W x + bias of tokens, [tokens, columns]; one token is a decode step's. */
  void multiply(float[] x, int tokens, float[] y, int yOffset) {
    if (tokens > 1) {
      multiplyHalves(x, y, yOffset);
    } else {
      multiplyExact(x, y, yOffset);
      for (int n = 0; n < scales.length; n++) {
        y[yOffset + n] *= scales[n];
      }
    }
    for (int i = 0; i < tokens * rows(); i++) {
      y[yOffset + i] += bias[i % rows()];
    }
  }

  /** The same of what codes stand for. */
  void multiply(InputCodes x, float[] y, int yOffset) {
    boolean integers = scales.length > 0;
    if (integers || x.tokens() == 1) {
      multiplyExact(x.values(), y, yOffset);
    } else {
      multiplyHalves(x.values(), y, yOffset);
    }
    for (int i = 0; i < x.tokens() * rows(); i++) {
      int n = i % rows();
      int at = yOffset + i;
      float zero = x.zeros()[i / rows()];
      float sum =
          integers
              ? Math.fma(scales[n], y[at], -(zero * rowSums[n]))
              : Math.fma(-zero, rowSums[n], y[at]);
      y[at] = Math.fma(x.scales()[i / rows()], sum, bias[n]);
    }
  }

  private void multiplyHalves(float[] x, float[] y, int yOffset) {
    Halves inputs = Halves.of(x, 0, x.length);
    int columns = columns();
    for (int t = 0; t < x.length / columns; t++) {
      for (int n = 0; n < rows(); n++) {
        y[yOffset + t * rows() + n] =
            TensorCore.add(0, inputs, t * columns, halves, n * columns, columns);
      }
    }
  }

  private void multiplyExact(float[] x, float[] y, int yOffset) {
    int columns = columns();
    for (int t = 0; t < x.length / columns; t++) {
      for (int n = 0; n < rows(); n++) {
        double sum = 0;
        for (int k = 0; k < columns; k++) {
          sum += (double) x[t * columns + k] * exact[n * columns + k];
        }
        y[yOffset + t * rows() + n] = (float) sum;
      }
    }
  }

  @Override
  public int rows() {
    return source.rows();
  }

  @Override
  public int columns() {
    return source.columns();
  }

  @Override
  public long bytes() {
    return (long) Float.BYTES * exact.length;
  }
}
