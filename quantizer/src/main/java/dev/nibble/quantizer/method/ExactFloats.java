package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.List;

/** Float tensors in the narrowest element type that holds every value exactly. */
final class ExactFloats {
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final int BF16_REST = 0xffff;

  private ExactFloats() {}

  /** A tensor of F16, BF16 or F32. */
  static Tensor tensor(String name, float[] values, List<Long> shape) {
    boolean half = true;
    boolean brain = true;
    for (float value : values) {
      half &= Float.float16ToFloat(Float.floatToFloat16(value)) == value;
      brain &= (Float.floatToRawIntBits(value) & BF16_REST) == 0;
    }
    if (!half && !brain) {
      return new Tensor(name, DType.F32, shape, QuantizedBlock.floats(name, values).data());
    }
    MemorySegment data = MemorySegment.ofArray(new byte[Math.multiplyExact(2, values.length)]);
    for (int i = 0; i < values.length; i++) {
      short bits =
          half
              ? Float.floatToFloat16(values[i])
              : (short) (Float.floatToRawIntBits(values[i]) >>> 16);
      data.set(SHORT, 2L * i, bits);
    }
    return new Tensor(name, half ? DType.F16 : DType.BF16, shape, data);
  }
}
