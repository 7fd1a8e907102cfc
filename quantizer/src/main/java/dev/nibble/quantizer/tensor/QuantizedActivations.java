package dev.nibble.quantizer.tensor;

/**
 * Room for activations quantized per token, [tokens, width]: a = clamp(round(x / scale) + zero, 0,
 * 2^bits - 1). The codes are kept signed, as a - 2^(bits-1), and the zeros are moved by as much, so
 * that x is about scale * (code - zero). With them go the sums of the codes of each weight group.
 * Not thread-safe.
 */
public final class QuantizedActivations {
  private final int bits;
  private final boolean symmetric;
  private final int maxTokens;
  private final int width;
  private final int sumGroup;

  /** [maxTokens, width]. */
  final byte[] codes;

  /** One a token. */
  final float[] scales;

  /** One a token; an integer, but beyond int where a token's channels are all but equal. */
  final float[] zeros;

  /** [maxTokens, groups()]. */
  final int[] sums;

  /** Tokens held now. */
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
    if (bits != 4 && bits != 6 && bits != 8) {
      throw new IllegalArgumentException("activation bits " + bits + ": expected 4, 6 or 8");
    }
    if (maxTokens < 1 || width < 1 || sumGroup < 1) {
      throw new IllegalArgumentException(
          "activations [" + maxTokens + ", " + width + "] in groups of " + sumGroup);
    }
    this.bits = bits;
    this.symmetric = symmetric;
    this.maxTokens = maxTokens;
    this.width = width;
    this.sumGroup = sumGroup;
    codes = new byte[Math.multiplyExact(maxTokens, width)];
    scales = new float[maxTokens];
    zeros = new float[maxTokens];
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

  /** Makes room for so many tokens, whose values the caller then writes. */
  void hold(int count) {
    if (count < 0 || count > maxTokens) {
      throw new IllegalArgumentException(count + " tokens: room for " + maxTokens);
    }
    tokens = count;
  }

  /** Adds up the codes of a token, group by group. */
  void sum(int token) {
    int groups = groups();
    for (int g = 0; g < groups; g++) {
      int end = Math.min(width, (g + 1) * sumGroup);
      int sum = 0;
      for (int i = g * sumGroup; i < end; i++) {
        sum += codes[token * width + i];
      }
      sums[token * groups + g] = sum;
    }
  }
}
