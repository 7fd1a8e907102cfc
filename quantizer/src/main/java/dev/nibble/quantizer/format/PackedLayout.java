package dev.nibble.quantizer.format;

/**
 * Where each code, scale and zero of a packed linear lies.
 *
 * @param bits code width: 2, 3, 4, 6 or 8
 * @param rows output channels
 * @param columns input channels
 * @param groupSize columns that share a scale: 32, 64 or 128, or 0 for one scale a row
 */
public record PackedLayout(int bits, int rows, int columns, int groupSize) {
  /**
   * Size of the codes.
   *
   * @return bytes
   */
  public long qweightBytes() {
    return later();
  }

  /**
   * Number of scales, padding included.
   *
   * @return elements
   */
  public long scaleCount() {
    return later();
  }

  private static long later() {
    throw new IllegalStateException("not written yet");
  }
}
