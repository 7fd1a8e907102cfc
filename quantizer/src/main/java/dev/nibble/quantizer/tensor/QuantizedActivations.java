package dev.nibble.quantizer.tensor;

/**
 * Room for activations quantized per token, [tokens, width]: a = clamp(round(x / scale) + zero, 0,
 * 2^bits - 1), kept signed as a - 2^(bits-1), with sums per weight group. Not thread-safe.
 */
public final class QuantizedActivations {
  private final int bits;
  private final boolean symmetric;
  private final int maxTokens;
  private final int width;
  private final int sumGroup;
  final byte[] codes;
  final float[] scales;
  final int[] zeros;
  final int[] sums;
  int tokens;

  /**
   * Allocates room.
   *
   * @param bits 4, 6 or 8
   * @param symmetric whether zero is 2^(bits-1) for every token
   * @param maxTokens most tokens it holds
   * @param width channels of a token
   * @param sumGroup columns each sum covers: the weight group size; {@code width} for per channel
   */
  public QuantizedActivations(int bits, boolean symmetric, int maxTokens, int width, int sumGroup) {
    this.bits = bits;
    this.symmetric = symmetric;
    this.maxTokens = maxTokens;
    this.width = width;
    this.sumGroup = sumGroup;
    codes = new byte[Math.multiplyExact(maxTokens, width)];
    scales = new float[maxTokens];
    zeros = new int[maxTokens];
    sums = new int[Math.multiplyExact(maxTokens, groups())];
  }

  /**
   * Code width.
   *
   * @return bits
   */
  public int bits() {
    return bits;
  }

  /**
   * Whether the zero is fixed.
   *
   * @return true when symmetric
   */
  public boolean symmetric() {
    return symmetric;
  }

  /**
   * Most tokens it holds.
   *
   * @return tokens
   */
  public int maxTokens() {
    return maxTokens;
  }

  /**
   * Channels of a token.
   *
   * @return elements
   */
  public int width() {
    return width;
  }

  /**
   * Columns each sum covers.
   *
   * @return elements
   */
  public int sumGroup() {
    return sumGroup;
  }

  /**
   * Sums of a token.
   *
   * @return groups
   */
  public int groups() {
    return Math.ceilDiv(width, sumGroup);
  }

  /**
   * Tokens held now.
   *
   * @return tokens
   */
  public int tokens() {
    return tokens;
  }
}
