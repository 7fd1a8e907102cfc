package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.format.QuantScheme;
import java.util.Comparator;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * OWQ, "Outlier-Aware Weight Quantization", Lee et al. 2023: the input channels whose rounding
 * costs most, H_jj |W_j - Q(W_j)|^2, keep their weights at 16 bits, the others are rounded by GPTQ.
 *
 * <p>The linears of a site share their channels, so that inputs are gathered, and quantized, once.
 */
record Owq(double share) implements BlockMethod {
  /** Channels kept; with fp16 weights each costs 16 bits an output. */
  static final Owq DEFAULT = new Owq(0.01);

  @Override
  public String name() {
    return "owq";
  }

  @Override
  public Map<String, String> settings() {
    return Map.of("outlier-share", Double.toString(share));
  }

  @Override
  public void check(ModelConfig config, QuantScheme scheme) {
    if (!scheme.quantizesWeights()) {
      throw new IllegalArgumentException(
          "method owq cannot do " + scheme + ": it rounds weights, such as W3A16 or W4A16g128");
    }
  }

  @Override
  public boolean followsFullPrecision() {
    return false;
  }

  @Override
  public QuantizedBlock quantize(BlockTask task) {
    OutlierBlock result = new OutlierBlock(task);
    BlockHessians hessians = new BlockHessians(task, BlockPrecision.FULL);
    for (InputSite site : InputSite.values()) {
      int width = site.width(task.block().config());
      double[] hessian = hessians.of(site);
      OutlierColumns columns = columns(task, result, site, hessian, width);
      for (int channel : columns.channels()) {
        for (int j = 0; j < width; j++) {
          hessian[Math.min(channel, j) * width + Math.max(channel, j)] = 0;
        }
      }
      BlockHessians.Rounding rounding = hessians.rounding(hessian, width);
      for (LinearRole role : result.linears(site)) {
        float[] rest = columns.without(task.block().linear(role).weight());
        result.add(role, rounding.round(rest, task.layout(role)), columns);
      }
    }
    return result.made();
  }

  private OutlierColumns columns(
      BlockTask task, OutlierBlock result, InputSite site, double[] hessian, int width) {
    double[] cost = new double[width];
    for (LinearRole role : result.linears(site)) {
      float[] weight = task.block().linear(role).weight();
      PackedLayout layout = task.layout(role);
      float[] rounded =
          NearestRounding.round(weight, layout, task.scheme().symmetric(), task.forward().workers())
              .toFloats();
      for (int i = 0; i < weight.length; i++) {
        int channel = i % width;
        double error = (double) weight[i] - rounded[i];
        cost[channel] += hessian[channel * width + channel] * error * error;
      }
    }
    int count = (int) Math.ceil(share * width);
    int[] dearest =
        IntStream.range(0, width)
            .boxed()
            .sorted(Comparator.comparingDouble(i -> -cost[i]))
            .limit(count)
            .mapToInt(i -> i)
            .sorted()
            .toArray();
    return new OutlierColumns(dearest, width);
  }
}
