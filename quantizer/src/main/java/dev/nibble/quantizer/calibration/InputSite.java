package dev.nibble.quantizer.calibration;

import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;

/** The four inputs that the linears of a block read; those of one site are quantized once. */
public enum InputSite {
  /** The attention norm's output: query, key, value. */
  ATTENTION,
  /** The attention's output: output. */
  OUTPUT,
  /** The MLP norm's output: gate, up. */
  MLP,
  /** What the non-linearity leaves: down. */
  DOWN;

  /**
   * The site a linear reads.
   *
   * @param role the linear
   * @return its site
   */
  public static InputSite of(LinearRole role) {
    return switch (role) {
      case QUERY, KEY, VALUE -> ATTENTION;
      case OUTPUT -> OUTPUT;
      case GATE, UP -> MLP;
      case DOWN -> DOWN;
    };
  }

  /**
   * Channels at the site.
   *
   * @param config the model
   * @return the width
   */
  public int width(ModelConfig config) {
    return config.columns(
        switch (this) {
          case ATTENTION -> LinearRole.QUERY;
          case OUTPUT -> LinearRole.OUTPUT;
          case MLP -> LinearRole.UP;
          case DOWN -> LinearRole.DOWN;
        });
  }
}
