package dev.nibble.quantizer.method;

import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;

/** Weights that stay at 16 bits, and the indices that go with them, as tensors hold them. */
final class Halves {
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private Halves() {}

  /**
   * A number as fp16 holds it.
   *
   * @throws ArithmeticException if it is too large
   */
  static float rounded(float value) {
    float rounded = Float.float16ToFloat(Float.floatToFloat16(value));
    if (!Float.isFinite(rounded)) {
      throw new ArithmeticException("outlier weight " + value + " is too large for fp16");
    }
    return rounded;
  }

  /**
   * Numbers as little-endian fp16.
   *
   * @throws ArithmeticException if one is too large
   */
  static byte[] bytes(float[] values) {
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.multiplyExact(2, values.length)).order(ByteOrder.LITTLE_ENDIAN);
    for (float value : values) {
      bytes.putShort(Float.floatToFloat16(rounded(value)));
    }
    return bytes.array();
  }

  /** A vector of indices. */
  static Tensor ints(String name, int[] values) {
    MemorySegment data = MemorySegment.ofArray(new byte[Math.multiplyExact(4, values.length)]);
    MemorySegment.copy(values, 0, data, INT, 0, values.length);
    return new Tensor(name, DType.I32, List.of((long) values.length), data);
  }
}
