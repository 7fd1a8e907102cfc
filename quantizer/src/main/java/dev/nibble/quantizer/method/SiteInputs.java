package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockForward;
import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.TransformerBlock;

/**
 * The inputs of one site of a block.
 *
 * @param forward runs the block
 * @param block the block
 * @param precision how its activations are rounded
 * @param site the site
 */
record SiteInputs(
    BlockForward forward, TransformerBlock block, BlockPrecision precision, InputSite site) {
  /** Takes a window's inputs, [context, width]; valid during the call, and not to be changed. */
  @FunctionalInterface
  interface Reader {
    void read(float[] inputs);
  }

  /** Runs a window of the block's inputs as far as the site, and hands out the site's inputs. */
  void read(float[] x, Reader reader) {
    forward.inputs(
        block,
        precision,
        x,
        site,
        (at, raw, rounded) -> {
          if (at == site) {
            reader.read(rounded);
          }
        });
  }

  /** Channels at the site. */
  int width() {
    return site.width(block.config());
  }
}
