package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.util.Arrays;
import java.util.Map;

/**
 * The scales of AWQ (Lin et al. 2023): s = mean|x|^r a channel of each site, normalized by
 * sqrt(max(s) min(s)), r the one of 20 between 0 and 1 with the least squared error of the outputs
 * of the linears that read it (equation 4). That error is tr(D H D^T), H the sum of x^T x over the
 * whole calibration text, where the paper's code compares the outputs of the surrounding module on
 * a sample of it.
 */
record AwqScaling() implements BlockTransformation {
  private static final int STEPS = 20;
  private static final double SMALLEST = 1e-4;

  /**
   * Of the mean magnitude; a channel below it hardly shows on the calibration text, such as one
   * behind a ReLU, and by the paper's rule would be made so loud that another text overflows.
   */
  private static final double QUIET = 1e-2;

  @Override
  public Map<String, String> settings() {
    return Map.of("scales", Integer.toString(STEPS));
  }

  @Override
  public void check(ModelConfig config, QuantScheme scheme) {}

  @Override
  public void apply(BlockTask task, TransformerBlock block) {
    WorkerThreads workers = task.forward().workers();
    ModelConfig config = block.config();
    BySite<ChannelStatistics> statistics =
        new BySite<>(site -> new ChannelStatistics(site.width(config)));
    BySite<InputProducts> products =
        new BySite<>(site -> new InputProducts(site.width(config), workers));
    int windows = task.fullInputs().windows();
    for (int w = 0; w < windows; w++) {
      task.forward()
          .inputs(
              block,
              BlockPrecision.FULL,
              task.fullInputs().window(w),
              InputSite.DOWN,
              (site, raw, rounded) -> {
                statistics.get(site).add(raw);
                products.get(site).addSquare(raw);
              });
      task.progress().step(w + 1, windows, Double.NaN);
    }
    for (InputSite site : InputSite.values()) {
      if (Rescaling.fits(config, site)) {
        OutputError error = new OutputError(products.get(site).sums(), workers);
        Rescaling.apply(block, site, best(task, block, site, statistics.get(site), error));
      }
    }
  }

  private static float[] best(
      BlockTask task,
      TransformerBlock block,
      InputSite site,
      ChannelStatistics inputs,
      OutputError error) {
    float[] best = scales(block.config(), site, inputs, 0);
    double least = Double.POSITIVE_INFINITY;
    for (int step = 0; step < STEPS; step++) {
      float[] scales = scales(block.config(), site, inputs, (double) step / STEPS);
      double sum = 0;
      for (LinearRole role : block.roles()) {
        if (InputSite.of(role) == site) {
          sum += error.of(block.linear(role).weight(), rounded(task, block, role, scales));
        }
      }
      if (sum < least) {
        least = sum;
        best = scales;
      }
    }
    return best;
  }

  private static float[] scales(
      ModelConfig config, InputSite site, ChannelStatistics inputs, double exponent) {
    double[] magnitudes = new double[Rescaling.scales(config, site)];
    for (int c = 0; c < site.width(config); c++) {
      int scale = Rescaling.scaleOf(config, site, c);
      magnitudes[scale] = Math.max(magnitudes[scale], inputs.meanMagnitude(c));
    }
    double least = QUIET * Arrays.stream(magnitudes).average().orElseThrow();
    double[] powers =
        Arrays.stream(magnitudes)
            .map(m -> Math.max(SMALLEST, Math.pow(Math.max(least, m), exponent)))
            .toArray();
    double norm =
        Math.sqrt(
            Arrays.stream(powers).max().orElseThrow() * Arrays.stream(powers).min().orElseThrow());
    float[] scales = new float[powers.length];
    for (int i = 0; i < scales.length; i++) {
      scales[i] = (float) (powers[i] / norm);
    }
    return scales;
  }

  /** A linear's weights with their columns scaled, rounded, and scaled back. */
  private static float[] rounded(
      BlockTask task, TransformerBlock block, LinearRole role, float[] scales) {
    ModelConfig config = block.config();
    InputSite site = InputSite.of(role);
    int width = site.width(config);
    float[] scaled = block.linear(role).weight().clone();
    for (int i = 0; i < scaled.length; i++) {
      scaled[i] *= scales[Rescaling.scaleOf(config, site, i % width)];
    }
    QuantizedLinear codes =
        NearestRounding.round(
            scaled, task.layout(role), task.scheme().symmetric(), task.forward().workers());
    float[] rounded = codes.toFloats();
    for (int i = 0; i < rounded.length; i++) {
      rounded[i] /= scales[Rescaling.scaleOf(config, site, i % width)];
    }
    return rounded;
  }
}
