package dev.nibble.runtime.engine;

import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.tensor.WeightMatrix;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/** Rows of a float matrix, read as float32. */
final class EmbeddingTable {
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final DType dtype;
  private final int width;
  private final MemorySegment data;

  EmbeddingTable(WeightMatrix.Dense matrix) {
    dtype = matrix.dtype();
    width = matrix.columns();
    data = matrix.data();
  }

  /** out[offset + i] += table[row, i]. */
  void addRow(int row, float[] out, int offset) {
    long start = (long) row * width;
    switch (dtype) {
      case F32 -> {
        for (int i = 0; i < width; i++) {
          out[offset + i] += data.get(FLOAT, Float.BYTES * (start + i));
        }
      }
      case F16 -> {
        for (int i = 0; i < width; i++) {
          out[offset + i] += Float.float16ToFloat(data.get(SHORT, Short.BYTES * (start + i)));
        }
      }
      case BF16 -> {
        for (int i = 0; i < width; i++) {
          out[offset + i] += Float.intBitsToFloat(data.get(SHORT, Short.BYTES * (start + i)) << 16);
        }
      }
      case I8, U8, U16, I32, I64 -> throw new IllegalStateException("embedding of " + dtype);
    }
  }
}
