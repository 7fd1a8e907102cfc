package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.calibration.SequentialPass;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.calibration.TransformerBlock.Parameters;
import dev.nibble.quantizer.format.LinearRole;
import java.util.EnumMap;
import java.util.Map;
import java.util.Optional;

/**
 * Rounds the linears of a block site by site, each on the inputs that the rounded ones before it
 * leave; what the code of GPTQ's paper calls true-sequential.
 */
final class SequentialRounding {
  private SequentialRounding() {}

  /** Learns how a site's linears are to be rounded. */
  @FunctionalInterface
  interface Site {
    /**
     * Reads the inputs of a site.
     *
     * @param site the site
     * @param pass runs the block, the linears of earlier sites rounded; every window is to be read
     *     once
     * @param windows hears of each window that is done
     * @return rounds the linears that read them
     */
    LinearRounding rounding(InputSite site, SequentialPass pass, WindowListener windows);
  }

  /** Hears of windows. */
  @FunctionalInterface
  interface WindowListener {
    /**
     * A window is done.
     *
     * @param window its index
     */
    void done(int window);
  }

  /** Rounds a block; see {@link BlockRounding#round}. */
  static RoundedLinears round(BlockTask task, TransformerBlock block, Site how) {
    Map<LinearRole, QuantizedLinear> linears = new EnumMap<>(LinearRole.class);
    TransformerBlock rounded = block.copy();
    SequentialPass pass =
        new SequentialPass(
            task.forward(), rounded, BlockPrecision.of(task.scheme()), task.quantizedInputs());
    long windows = task.quantizedInputs().windows();
    long steps = windows * InputSite.values().length;
    long done = 0;
    for (InputSite site : InputSite.values()) {
      long before = done;
      LinearRounding rounding =
          how.rounding(
              site, pass, window -> task.progress().step(before + window + 1, steps, Double.NaN));
      done += windows;
      for (LinearRole role : block.roles()) {
        if (InputSite.of(role) == site) {
          Parameters linear = block.linear(role);
          QuantizedLinear codes = rounding.round(role, linear.weight());
          linears.put(role, codes);
          rounded.setLinear(role, new Parameters(codes.toFloats(), linear.bias()));
        }
      }
    }
    return new RoundedLinears(linears, Optional.of(pass.outputs()));
  }
}
