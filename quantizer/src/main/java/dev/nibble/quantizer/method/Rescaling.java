package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.calibration.TransformerBlock.Parameters;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.ModelConfig.Activation;

/**
 * Moves scales across a site: its inputs are divided by s, where they are made, and the columns of
 * the linears that read them are multiplied by it. The block computes the same function.
 *
 * <ul>
 *   <li>ATTENTION and MLP: the norm's weight and bias are divided.
 *   <li>OUTPUT: the rows of the values; the query heads of a kv head share its scales.
 *   <li>DOWN: the rows of the MLP's first linear, not of the gate; with ReLU s must be positive,
 *       and GELU allows none.
 * </ul>
 */
final class Rescaling {
  private Rescaling() {}

  /** Whether a site can be rescaled. */
  static boolean fits(ModelConfig config, InputSite site) {
    return site != InputSite.DOWN || config.activation() != Activation.GELU;
  }

  /** Scales that a site has. */
  static int scales(ModelConfig config, InputSite site) {
    return site == InputSite.OUTPUT ? config.rows(LinearRole.VALUE) : site.width(config);
  }

  /** The scale of an input channel. */
  static int scaleOf(ModelConfig config, InputSite site, int channel) {
    if (site != InputSite.OUTPUT) {
      return channel;
    }
    int head = channel / config.headDim();
    int kvHead = head / (config.heads() / config.kvHeads());
    return kvHead * config.headDim() + channel % config.headDim();
  }

  /**
   * Rescales a site.
   *
   * @param block changed in place
   * @param site the site
   * @param s its scales, none 0
   */
  static void apply(TransformerBlock block, InputSite site, float[] s) {
    switch (site) {
      case ATTENTION -> divide(block.attentionNorm(), s);
      case OUTPUT -> divide(block.linear(LinearRole.VALUE), s);
      case MLP -> divide(block.mlpNorm(), s);
      case DOWN -> divide(block.linear(LinearRole.UP), s);
    }
    ModelConfig config = block.config();
    int width = site.width(config);
    for (LinearRole role : block.roles()) {
      if (InputSite.of(role) == site) {
        float[] weight = block.linear(role).weight();
        for (int i = 0; i < weight.length; i++) {
          weight[i] *= s[scaleOf(config, site, i % width)];
        }
      }
    }
  }

  /** Divides the outputs of a norm or a linear. */
  private static void divide(Parameters made, float[] s) {
    int run = made.weight().length / s.length;
    for (int i = 0; i < made.weight().length; i++) {
      made.weight()[i] /= s[i / run];
    }
    made.bias()
        .ifPresent(bias -> {
          for (int i = 0; i < bias.length; i++) {
            bias[i] /= s[i];
          }
        });
  }
}
