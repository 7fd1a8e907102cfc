package dev.nibble.quantizer.tensor;

import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.PackedLayout;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/** A weight matrix [rows, columns], row n holding the weights of output channel n. */
public sealed interface WeightMatrix {
  /**
   * Output channels.
   *
   * @return rows
   */
  int rows();

  /**
   * Input channels.
   *
   * @return columns
   */
  int columns();

  /**
   * Weights as floats.
   *
   * @param dtype F32, F16 or BF16
   * @param rows output channels
   * @param columns input channels
   * @param data row-major, rows x columns elements
   */
  record Dense(DType dtype, int rows, int columns, MemorySegment data) implements WeightMatrix {}

  /**
   * Weights in the packed layout; weight = (code - zero) * scale.
   *
   * @param layout bits, shape and group size, and where each code, scale and zero lies
   * @param qweight codes, {@link PackedLayout#qweightBytes} bytes
   * @param scales F16, {@link PackedLayout#scaleCount} elements
   * @param zeros U8, one a scale; null when symmetric, where the zero is 2^(bits-1)
   */
  record Packed(
      PackedLayout layout,
      MemorySegment qweight,
      MemorySegment scales,
      @Nullable MemorySegment zeros)
      implements WeightMatrix {
    @Override
    public int rows() {
      return layout.rows();
    }

    @Override
    public int columns() {
      return layout.columns();
    }
  }
}
