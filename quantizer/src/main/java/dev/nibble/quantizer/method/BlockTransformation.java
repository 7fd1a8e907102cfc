package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import java.util.Map;

/** A step of a method that rewrites a block without changing what it computes. */
interface BlockTransformation {
  /** What the result depends on, by name, in a fixed order. */
  Map<String, String> settings();

  /**
   * Refuses what the transformation cannot do.
   *
   * @throws IllegalArgumentException if it cannot
   */
  void check(ModelConfig config, QuantScheme scheme);

  /**
   * Transforms a block.
   *
   * @param task its inputs; the block in it is as the checkpoint has it
   * @param block what earlier steps left; changed in place
   */
  void apply(BlockTask task, TransformerBlock block);
}
