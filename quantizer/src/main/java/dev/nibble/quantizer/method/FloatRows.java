package dev.nibble.quantizer.method;

import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/** Reads a stretch of a float tensor at a time. */
final class FloatRows {
  private static final ValueLayout.OfFloat SINGLE =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort HALF =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private FloatRows() {}

  /** Fills {@code values} with the elements from {@code first} of an F32, F16 or BF16 tensor. */
  static void read(Tensor tensor, long first, float[] values) {
    MemorySegment data = tensor.data();
    switch (tensor.dtype()) {
      case F32 -> MemorySegment.copy(data, SINGLE, first * Float.BYTES, values, 0, values.length);
      case F16 -> {
        for (int i = 0; i < values.length; i++) {
          values[i] = Float.float16ToFloat(data.get(HALF, (first + i) * Short.BYTES));
        }
      }
      case BF16 -> {
        for (int i = 0; i < values.length; i++) {
          values[i] = Float.intBitsToFloat(data.get(HALF, (first + i) * Short.BYTES) << 16);
        }
      }
      case I8, U8, U16, I32, I64 ->
          throw new IllegalArgumentException(tensor.name() + " holds no floats");
    }
  }

  /** The index of the first of some elements that is not finite, or -1. */
  static long firstNotFinite(Tensor tensor, long first, long end) {
    MemorySegment data = tensor.data();
    int infinity =
        switch (tensor.dtype()) {
          case F32 -> 0x7f80_0000;
          case F16 -> 0x7c00;
          case BF16 -> 0x7f80;
          case I8, U8, U16, I32, I64 -> throw new IllegalArgumentException(tensor.name());
        };
    boolean single = tensor.dtype() == DType.F32;
    for (long i = first; i < end; i++) {
      int bits = single ? data.get(INT, i * Integer.BYTES) : data.get(HALF, i * Short.BYTES);
      if ((bits & infinity) == infinity) {
        return i;
      }
    }
    return -1;
  }
}
