package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import java.util.List;
import java.util.Map;

/**
 * SmoothQuant (Xiao et al. 2022): hands the outliers of the norms' outputs to the weights, by s =
 * max|x|^a / max|w|^(1 - a) a channel, the maximum of w over all linears that read it.
 *
 * @param strength a, from 0 (weights alone) to 1 (activations alone)
 */
record SmoothQuant(double strength) implements BlockTransformation {
  /** As the paper. */
  static final SmoothQuant DEFAULT = new SmoothQuant(0.5);

  private static final List<InputSite> SITES = List.of(InputSite.ATTENTION, InputSite.MLP);
  private static final double SMALLEST = 1e-5;

  @Override
  public Map<String, String> settings() {
    return Map.of("smoothing", Double.toString(strength));
  }

  @Override
  public void check(ModelConfig config, QuantScheme scheme) {}

  @Override
  public void apply(BlockTask task, TransformerBlock block) {
    BySite<ChannelStatistics> statistics = ChannelStatistics.of(task, block);
    for (InputSite site : SITES) {
      Rescaling.apply(block, site, scales(block, site, statistics.get(site)));
    }
  }

  private float[] scales(TransformerBlock block, InputSite site, ChannelStatistics inputs) {
    int width = site.width(block.config());
    float[] largest = new float[width];
    for (LinearRole role : block.roles()) {
      if (InputSite.of(role) == site) {
        float[] weight = block.linear(role).weight();
        for (int i = 0; i < weight.length; i++) {
          largest[i % width] = Math.max(largest[i % width], Math.abs(weight[i]));
        }
      }
    }
    float[] scales = new float[width];
    for (int c = 0; c < width; c++) {
      double x = Math.max(SMALLEST, inputs.maxMagnitude(c));
      double w = Math.max(SMALLEST, largest[c]);
      scales[c] = (float) (Math.pow(x, strength) / Math.pow(w, 1 - strength));
    }
    return scales;
  }
}
