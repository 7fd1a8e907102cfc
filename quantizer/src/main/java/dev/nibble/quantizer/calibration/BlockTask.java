package dev.nibble.quantizer.calibration;

import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.format.QuantScheme;

/**
 * One block to quantize.
 *
 * @param block the block at full precision; not to be changed
 * @param scheme the scheme
 * @param fullInputs its inputs in the full-precision model; of the first windows only, where the
 *     method says that it does not read them
 * @param quantizedInputs its inputs after the quantized blocks before it
 * @param targets its outputs for {@code fullInputs}
 * @param forward runs it
 * @param seed for random choices, another one for each block
 * @param progress hears how far the method is
 */
public record BlockTask(
    TransformerBlock block,
    QuantScheme scheme,
    HiddenStates fullInputs,
    HiddenStates quantizedInputs,
    HiddenStates targets,
    BlockForward forward,
    long seed,
    StepListener progress) {
  /** Hears of steps within a block. */
  @FunctionalInterface
  public interface StepListener {
    /**
     * A step is done.
     *
     * @param done steps done in this block
     * @param total steps of this block
     * @param loss the method's own measure, or NaN
     */
    void step(long done, long total, double loss);
  }

  /**
   * The layout that the scheme packs a linear to.
   *
   * @param role the linear
   * @return its layout
   */
  public PackedLayout layout(LinearRole role) {
    return new PackedLayout(
        scheme.weightBits(),
        block.config().rows(role),
        block.config().columns(role),
        scheme.groupSize());
  }
}
