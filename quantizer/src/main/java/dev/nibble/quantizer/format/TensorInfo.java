package dev.nibble.quantizer.format;

import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * A tensor's description, its size checked.
 *
 * @param name 1 to 255 bytes of UTF-8
 * @param dtype its element type
 * @param shape up to 8 dimensions, outermost first; empty for a scalar
 */
public record TensorInfo(String name, DType dtype, List<Long> shape) {
  static final int MAX_NAME_BYTES = 255;
  static final int MAX_RANK = 8;

  /**
   * Checks the name, the rank, and that the size in bytes fits in a long.
   *
   * @throws IllegalArgumentException if one of them is out of range
   */
  public TensorInfo {
    shape = List.copyOf(shape);
    if (name.isEmpty()
        || name.length() > MAX_NAME_BYTES
        || name.getBytes(StandardCharsets.UTF_8).length > MAX_NAME_BYTES) {
      throw new IllegalArgumentException("a name has 1 to " + MAX_NAME_BYTES + " bytes");
    }
    if (shape.size() > MAX_RANK) {
      throw new IllegalArgumentException(
          "shape has " + shape.size() + " dimensions, at most " + MAX_RANK + " are allowed");
    }
    byteSize(dtype, shape);
  }

  /**
   * Number of elements.
   *
   * @return the product of the shape; 1 for a scalar
   */
  public long elements() {
    return byteSize(dtype, shape) / dtype.bytes();
  }

  /**
   * Size of the data.
   *
   * @return bytes
   */
  public long bytes() {
    return byteSize(dtype, shape);
  }

  private static long byteSize(DType dtype, List<Long> shape) {
    long bytes = dtype.bytes();
    for (long dimension : shape) {
      if (dimension < 0 || (bytes != 0 && dimension > Long.MAX_VALUE / bytes)) {
        throw new IllegalArgumentException(
            "shape " + shape + " of " + dtype + " has no size in 63 bits");
      }
      bytes *= dimension;
    }
    return bytes;
  }
}
