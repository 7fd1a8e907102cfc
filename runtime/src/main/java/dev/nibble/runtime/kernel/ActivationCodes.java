package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.packed_layout_h;
import dev.nibble.runtime.cuda.DeviceRange;

/**
 * What quantized tokens are kept in: codes a - 2^(bits-1), with x about scale * (code - zero).
 *
 * @param columns of a token
 * @param groupColumns columns of a sum: 32, 64, 128, or {@code columns}
 * @param codes int8 [tokens, columns padded to 128]
 * @param scales float [tokens]
 * @param zeros float [tokens], moved as the codes are
 * @param sums int32 [tokens, ceil(columns / groupColumns)]
 */
public record ActivationCodes(
    int columns,
    int groupColumns,
    DeviceRange codes,
    DeviceRange scales,
    DeviceRange zeros,
    DeviceRange sums) {
  /** Checks the sizes. */
  public ActivationCodes {
    if (columns < 1
        || (groupColumns != 32
            && groupColumns != 64
            && groupColumns != 128
            && groupColumns != columns)) {
      throw new IllegalArgumentException(
          columns + " columns in groups of " + groupColumns + ": expected 32, 64, 128 or all");
    }
  }

  /**
   * Codes from one token to the next.
   *
   * @param columns of a token
   * @return bytes
   */
  public static long codeStride(int columns) {
    long unit = packed_layout_h.NIBBLE_COLUMN_UNIT();
    return Math.ceilDiv(columns, unit) * unit;
  }

  /**
   * Sums of a token.
   *
   * @return how many
   */
  public int groups() {
    return Math.ceilDiv(columns, groupColumns);
  }

  long requireCodes(int tokens) {
    return codes.require("codes", tokens * codeStride(columns));
  }

  long requireScales(int tokens) {
    return scales.require("scales", (long) Float.BYTES * tokens);
  }

  long requireZeros(int tokens) {
    return zeros.require("zeros", (long) Float.BYTES * tokens);
  }

  long requireSums(int tokens) {
    return sums.require("sums", (long) Integer.BYTES * tokens * groups());
  }
}
