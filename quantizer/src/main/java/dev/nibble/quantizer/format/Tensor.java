package dev.nibble.quantizer.format;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.List;

/**
 * A tensor of a checkpoint: its description and a read-only view of its bytes.
 *
 * @param name its name in the checkpoint
 * @param dtype its element type
 * @param shape its dimensions, outermost first; empty for a scalar
 * @param data its bytes, little-endian, row-major; valid while the checkpoint is open. A file need
 *     not align them: read with unaligned layouts
 */
public record Tensor(String name, DType dtype, List<Long> shape, MemorySegment data) {
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** Copies the shape. */
  public Tensor {
    shape = List.copyOf(shape);
  }

  /**
   * The elements as floats, for norms, biases and scales.
   *
   * @return as many floats as the tensor has elements
   * @throws IllegalStateException if the tensor is not F32, F16 or BF16
   * @throws ArithmeticException if there are more than an array holds
   */
  public float[] toFloats() {
    float[] values = new float[Math.toIntExact(data.byteSize() / dtype.bytes())];
    switch (dtype) {
      case F32 -> MemorySegment.copy(data, FLOAT, 0, values, 0, values.length);
      case F16 -> {
        for (int i = 0; i < values.length; i++) {
          values[i] = Float.float16ToFloat(data.get(SHORT, 2L * i));
        }
      }
      case BF16 -> {
        for (int i = 0; i < values.length; i++) {
          values[i] = Float.intBitsToFloat(data.get(SHORT, 2L * i) << 16);
        }
      }
      case I8, U8, U16, I32, I64 ->
          throw new IllegalStateException(
              name + ": expected F32, F16 or BF16 elements, found " + dtype);
    }
    return values;
  }
}
