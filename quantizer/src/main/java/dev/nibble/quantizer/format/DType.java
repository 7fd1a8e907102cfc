package dev.nibble.quantizer.format;

/** Element types of safetensors files that Nibble reads. */
public enum DType {
  /** IEEE 754 binary32. */
  F32(4),
  /** IEEE 754 binary16. */
  F16(2),
  /** The upper half of a binary32. */
  BF16(2),
  /** Signed byte. */
  I8(1),
  /** Unsigned byte. */
  U8(1),
  /** Unsigned 16-bit integer. */
  U16(2),
  /** Signed 32-bit integer. */
  I32(4),
  /** Signed 64-bit integer. */
  I64(8);

  private final int bytes;

  DType(int bytes) {
    this.bytes = bytes;
  }

  /**
   * The size of one element.
   *
   * @return bytes an element
   */
  public int bytes() {
    return bytes;
  }
}
