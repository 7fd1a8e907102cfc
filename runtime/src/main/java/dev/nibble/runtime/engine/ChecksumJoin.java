package dev.nibble.runtime.engine;

/**
 * CRC32C of data whose parts were summed apart. Behind n bytes a sum is multiplied by x^8n modulo
 * the polynomial; bits are reflected, so that x^0 is the highest (as zlib's crc32_combine has it).
 */
final class ChecksumJoin {
  private static final int POLYNOMIAL = 0x82f63b78;
  private static final int ONE = 1 << 31;
  private static final int X_TO_8 = 1 << 23;

  private ChecksumJoin() {}

  /**
   * The sum of two parts, one behind the other.
   *
   * @param second sum of the second
   * @param bytes of the second
   */
  static int join(int first, int second, long bytes) {
    return multiply(power(bytes), first) ^ second;
  }

  /** x^8n. */
  private static int power(long n) {
    int product = ONE;
    int square = X_TO_8;
    for (long rest = n; rest != 0; rest >>>= 1) {
      if ((rest & 1) != 0) {
        product = multiply(square, product);
      }
      square = multiply(square, square);
    }
    return product;
  }

  private static int multiply(int a, int b) {
    int product = 0;
    int shifted = b;
    for (int bit = ONE; bit != 0; bit >>>= 1) {
      if ((a & bit) != 0) {
        product ^= shifted;
      }
      shifted = (shifted & 1) == 0 ? shifted >>> 1 : (shifted >>> 1) ^ POLYNOMIAL;
    }
    return product;
  }
}
