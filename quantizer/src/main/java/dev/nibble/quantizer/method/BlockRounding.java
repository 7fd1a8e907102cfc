package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.TransformerBlock;
import java.util.Map;

/** The last step of a method: chooses the codes of a block's linears. */
interface BlockRounding {
  /** What the result depends on, by name, in a fixed order. */
  Map<String, String> settings();

  /** As {@link BlockMethod#followsFullPrecision}. */
  default boolean followsFullPrecision() {
    return true;
  }

  /**
   * Rounds the linears of a block.
   *
   * @param task its inputs; the block in it is as the checkpoint has it
   * @param block the block to round, which computes the same function; not changed
   * @return the linears, and the block's outputs where they are known
   * @throws ArithmeticException if a scale is too large for fp16, or the inputs are not finite
   */
  RoundedLinears round(BlockTask task, TransformerBlock block);
}
