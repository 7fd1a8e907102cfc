package dev.nibble.runtime.model;

/**
 * What synthetic weights are made of, wherever they are made: uniform random codes or mantissas,
 * scaled so that a product keeps the deviation of its inputs through any number of blocks.
 */
public final class SyntheticValues {
  /** The bits of a half that are random: sign and mantissa. */
  public static final short RANDOM_OF_HALF = (short) 0x83ff;

  private static final double UNIFORM_DEVIATION = Math.sqrt(12);
  private static final int HALF_BIAS = 15;
  private static final int MANTISSA_BITS = 10;

  private SyntheticValues() {}

  /**
   * The one scale of all codes of a matrix: they have the deviation 1 / sqrt(columns).
   *
   * @param bits of a code
   * @param columns of the matrix
   * @return a half
   */
  public static short scale(int bits, int columns) {
    return Float.floatToFloat16((float) (UNIFORM_DEVIATION / ((1 << bits) * Math.sqrt(columns))));
  }

  /**
   * The one zero of all codes.
   *
   * @param bits of a code
   * @return the middle code
   */
  public static byte zero(int bits) {
    return (byte) (1 << (bits - 1));
  }

  /**
   * The exponent of all elements of a matrix of halves.
   *
   * @param columns of the matrix
   * @return a half without the random bits
   */
  public static short exponent(int columns) {
    return (short) ((HALF_BIAS - Math.round(Math.log(columns) / Math.log(2) / 2)) << MANTISSA_BITS);
  }
}
