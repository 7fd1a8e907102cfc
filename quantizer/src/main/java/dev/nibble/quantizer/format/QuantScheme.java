package dev.nibble.quantizer.format;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A quantization scheme, {@code W<b>A<b>[g<n>][sym][Q<b>][KV<b>][H<b>]}, for example {@code
 * W4A16g128} or {@code W4A4Q4KV4}. 16 bits means not quantized.
 *
 * @param weightBits bits of the block linears' weights: 2, 3, 4, 6, 8 or 16
 * @param activationBits bits of their inputs, per token: 4, 6, 8 or 16
 * @param groupSize input channels that share a scale: 32, 64 or 128, or 0 for one scale a row
 * @param symmetric whether weights have no zero point
 * @param queryBits bits of the queries after RoPE, per token and head: 3, 4, 6, 8 or 16
 * @param kvBits bits of the keys after RoPE and of the values, per token and head: 3, 4, 8 or 16
 * @param headBits bits of the output head, per row: 8 or 16
 */
public record QuantScheme(
    int weightBits,
    int activationBits,
    int groupSize,
    boolean symmetric,
    int queryBits,
    int kvBits,
    int headBits) {
  private static final Pattern FORM =
      Pattern.compile(
          "W(2|3|4|6|8|16)A(4|6|8|16)(?:g(32|64|128))?(sym)?(?:Q(3|4|6|8|16))?(?:KV(3|4|8|16))?(?:H(8|16))?");

  /** An unquantized checkpoint. */
  public static final QuantScheme W16A16 = parse("W16A16");

  /**
   * Reads a scheme's name.
   *
   * @param name the name, such as {@code W4A16g128}
   * @return the scheme
   * @throws IllegalArgumentException if the name is not a scheme, or asks for groups or symmetry of
   *     weights that stay at 16 bits
   */
  public static QuantScheme parse(String name) {
    Matcher m = FORM.matcher(name);
    if (!m.matches()) {
      throw new IllegalArgumentException(
          "scheme '"
              + name
              + "': expected W<2|3|4|6|8|16>A<4|6|8|16>[g<32|64|128>][sym][Q<3|4|6|8>][KV<3|4|8>][H8],"
              + " such as W4A16g128");
    }
    QuantScheme scheme =
        new QuantScheme(
            bits(m, 1),
            bits(m, 2),
            m.group(3) == null ? 0 : Integer.parseInt(m.group(3)),
            m.group(4) != null,
            bits(m, 5),
            bits(m, 6),
            bits(m, 7));
    if (scheme.weightBits == 16 && (scheme.groupSize != 0 || scheme.symmetric)) {
      throw new IllegalArgumentException(
          "scheme '" + name + "': groups and sym need weights of 8 bits or less");
    }
    return scheme;
  }

  private static int bits(Matcher m, int group) {
    return m.group(group) == null ? 16 : Integer.parseInt(m.group(group));
  }

  /**
   * Whether the block linears are packed.
   *
   * @return true below 16 weight bits
   */
  public boolean quantizesWeights() {
    return weightBits < 16;
  }

  /**
   * Whether the inputs of the block linears are quantized.
   *
   * @return true below 16 activation bits
   */
  public boolean quantizesActivations() {
    return activationBits < 16;
  }

  /** The scheme's name; {@link #parse} reads it back. */
  @Override
  public String toString() {
    return "W"
        + weightBits
        + "A"
        + activationBits
        + (groupSize == 0 ? "" : "g" + groupSize)
        + (symmetric ? "sym" : "")
        + (queryBits == 16 ? "" : "Q" + queryBits)
        + (kvBits == 16 ? "" : "KV" + kvBits)
        + (headBits == 16 ? "" : "H" + headBits);
  }
}
