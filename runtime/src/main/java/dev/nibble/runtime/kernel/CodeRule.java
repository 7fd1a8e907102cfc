package dev.nibble.runtime.kernel;

import dev.nibble.runtime.cuda.DeviceRange;
import org.jspecify.annotations.Nullable;

/**
 * How activations become codes.
 *
 * @param bits of a code, 4 to 8
 * @param range what the codes span
 * @param steps float [columns / 32], for {@link Range#STATIC}
 * @param zeros int32 [columns / 32], for {@link Range#STATIC}
 * @param outliers int32 columns that count as 0, ascending
 */
public record CodeRule(
    int bits,
    Range range,
    @Nullable DeviceRange steps,
    @Nullable DeviceRange zeros,
    @Nullable DeviceRange outliers) {
  /** What the codes of a token span. */
  public enum Range {
    /** From the smallest value to the largest. */
    ASYMMETRIC,
    /** As much below zero as above. */
    SYMMETRIC,
    /** Fixed steps, one for each run of 32 columns. */
    STATIC
  }

  /** Checks the bits and that fixed steps are there. */
  public CodeRule {
    if (bits < 4 || bits > 8) {
      throw new IllegalArgumentException("activation bits " + bits + ": expected 4 to 8");
    }
    if ((range == Range.STATIC) != (steps != null && zeros != null)) {
      throw new IllegalArgumentException("fixed steps and zeros go with a static range");
    }
  }

  /**
   * A rule that looks at each token.
   *
   * @param bits of a code, 4 to 8
   * @return asymmetric, without outliers
   */
  public static CodeRule dynamic(int bits) {
    return new CodeRule(bits, Range.ASYMMETRIC, null, null, null);
  }

  int outlierCount() {
    return outliers == null ? 0 : Math.toIntExact(outliers.bytes() / Integer.BYTES);
  }
}
