package dev.nibble.quantizer.calibration;

import dev.nibble.quantizer.format.PackedLayout;
import java.util.Arrays;

/**
 * Codes of a linear's weights, row-major and without padding: weight = (code - zero) * scale.
 *
 * @param layout what it is packed to
 * @param symmetric whether every zero is 2^(bits-1), and none is written
 * @param codes [rows, columns], 0 to 2^bits - 1
 * @param scales fp16 bits, [rows, groups of a row]
 * @param zeros one a scale
 */
@SuppressWarnings("ArrayRecordComponent") // shared, not compared
public record QuantizedLinear(
    PackedLayout layout, boolean symmetric, byte[] codes, short[] scales, byte[] zeros) {
  /**
   * Checks the sizes.
   *
   * @throws IllegalArgumentException if an array has another length than the layout asks for
   */
  public QuantizedLinear {
    int scaleCount = Math.multiplyExact(layout.rows(), layout.groups());
    if (codes.length != Math.multiplyExact(layout.rows(), layout.columns())
        || scales.length != scaleCount
        || zeros.length != scaleCount) {
      throw new IllegalArgumentException(
          "%d codes, %d scales and %d zeros for %s"
              .formatted(codes.length, scales.length, zeros.length, layout));
    }
  }

  /**
   * Codes to fill, all 0.
   *
   * @param layout what it is packed to
   * @param symmetric whether every zero is 2^(bits-1); those are filled in
   * @return a linear
   */
  public static QuantizedLinear empty(PackedLayout layout, boolean symmetric) {
    int scaleCount = Math.multiplyExact(layout.rows(), layout.groups());
    byte[] zeros = new byte[scaleCount];
    if (symmetric) {
      Arrays.fill(zeros, (byte) layout.impliedZero());
    }
    return new QuantizedLinear(
        layout,
        symmetric,
        new byte[Math.multiplyExact(layout.rows(), layout.columns())],
        new short[scaleCount],
        zeros);
  }

  /**
   * Columns that share a scale.
   *
   * @return the group size, or all columns
   */
  public int groupColumns() {
    return layout.groupSize() == 0 ? layout.columns() : layout.groupSize();
  }

  /**
   * The weights that the codes stand for, as the engines compute with them.
   *
   * @return [rows, columns]
   */
  public float[] toFloats() {
    float[] weights = new float[codes.length];
    int columns = layout.columns();
    int group = groupColumns();
    for (int row = 0; row < layout.rows(); row++) {
      for (int first = 0; first < columns; first += group) {
        int at = row * layout.groups() + first / group;
        float scale = Float.float16ToFloat(scales[at]);
        int zero = zeros[at] & 0xff;
        int end = row * columns + Math.min(columns, first + group);
        for (int i = row * columns + first; i < end; i++) {
          weights[i] = ((codes[i] & 0xff) - zero) * scale;
        }
      }
    }
    return weights;
  }
}
