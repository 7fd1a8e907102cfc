package dev.nibble.quantizer.tensor;

import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.PackedLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
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
    private static final ValueLayout.OfShort HALF =
        ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final int HALF_INFINITY = 0x7c00;

    /**
     * Checks the sizes.
     *
     * @throws IllegalArgumentException if one is not the layout's
     */
    public Packed {
      requireBytes("qweight", qweight, layout.qweightBytes());
      requireBytes("scales", scales, Math.multiplyExact(layout.scaleCount(), Short.BYTES));
      if (zeros != null) {
        requireBytes("zeros", zeros, layout.scaleCount());
      }
    }

    /**
     * Index of the first scale that is not finite.
     *
     * @return an element of the scales, or -1
     */
    public long badScale() {
      for (long i = 0; i < layout.scaleCount(); i++) {
        if ((scales.get(HALF, i * Short.BYTES) & HALF_INFINITY) == HALF_INFINITY) {
          return i;
        }
      }
      return -1;
    }

    /**
     * Index of the first zero that is no code.
     *
     * @return an element of the zeros, or -1
     */
    public long badZero() {
      if (zeros != null) {
        for (long i = 0; i < layout.scaleCount(); i++) {
          if ((zeros.get(ValueLayout.JAVA_BYTE, i) & 0xff) >>> layout.bits() != 0) {
            return i;
          }
        }
      }
      return -1;
    }

    private static void requireBytes(String part, MemorySegment bytes, long expected) {
      if (bytes.byteSize() != expected) {
        throw new IllegalArgumentException(
            part + ": expected " + expected + " bytes, found " + bytes.byteSize());
      }
    }

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
