package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.calibration.TransformerBlock.Parameters;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.tensor.FakeQuantizer;
import dev.nibble.quantizer.tensor.FloatGemm;
import dev.nibble.quantizer.tensor.FloatMatrix;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Outlier Suppression+ (Wei et al. 2023): moves the middle of every channel of the norms' outputs
 * to 0, where the norm has a bias to do it with (OPT), then scales down only the channels beyond a
 * threshold, the one of 100 with the least squared error of the linears' outputs, weights and
 * inputs rounded. The paper compares the outputs of the attention and of the MLP instead.
 */
record OutlierSuppression() implements BlockTransformation {
  private static final List<InputSite> SITES = List.of(InputSite.ATTENTION, InputSite.MLP);
  private static final int STEPS = 100;
  private static final int TOKENS = 512;

  @Override
  public Map<String, String> settings() {
    return Map.of("thresholds", Integer.toString(STEPS), "tokens", Integer.toString(TOKENS));
  }

  @Override
  public void check(ModelConfig config, QuantScheme scheme) {}

  @Override
  public void apply(BlockTask task, TransformerBlock block) {
    BySite<ChannelStatistics> statistics = ChannelStatistics.of(task, block);
    BySite<float[]> samples = samples(task, block);
    for (InputSite site : SITES) {
      ChannelStatistics inputs = statistics.get(site);
      float[] x = samples.get(site);
      int width = site.width(block.config());
      Parameters norm = site == InputSite.ATTENTION ? block.attentionNorm() : block.mlpNorm();
      float[] shift = new float[width];
      if (norm.bias().isPresent()) {
        for (int c = 0; c < width; c++) {
          shift[c] = (inputs.min(c) + inputs.max(c)) / 2;
        }
        shift(block, site, norm.bias().get(), shift);
        for (int i = 0; i < x.length; i++) {
          x[i] -= shift[i % width];
        }
      }
      float[] reach = new float[width];
      for (int c = 0; c < width; c++) {
        reach[c] = Math.max(inputs.max(c) - shift[c], shift[c] - inputs.min(c));
      }
      Rescaling.apply(block, site, best(task, block, site, x, reach));
    }
  }

  /** The first tokens' inputs of each site, arrays of their own. */
  private static BySite<float[]> samples(BlockTask task, TransformerBlock block) {
    int context = task.forward().context();
    int windows = Math.min(task.fullInputs().windows(), Math.ceilDiv(TOKENS, context));
    int tokens = Math.min(TOKENS, windows * context);
    BySite<float[]> samples = new BySite<>(site -> new float[tokens * site.width(block.config())]);
    for (int w = 0; w < windows; w++) {
      int first = w * context;
      int count = Math.min(context, tokens - first);
      task.forward()
          .inputs(
              block,
              BlockPrecision.FULL,
              task.fullInputs().window(w),
              InputSite.MLP,
              (site, raw, rounded) -> {
                int width = site.width(block.config());
                System.arraycopy(raw, 0, samples.get(site), first * width, count * width);
              });
    }
    return samples;
  }

  /** Takes z from a norm's outputs, and hands W z to the biases of the linears that read them. */
  private static void shift(TransformerBlock block, InputSite site, float[] bias, float[] z) {
    for (LinearRole role : block.roles()) {
      if (InputSite.of(role) == site) {
        Parameters linear = block.linear(role);
        float[] weight = linear.weight();
        float[] own = linear.biasOrZeros(weight.length / z.length);
        for (int row = 0; row < own.length; row++) {
          double sum = own[row];
          for (int c = 0; c < z.length; c++) {
            sum += (double) weight[row * z.length + c] * z[c];
          }
          own[row] = (float) sum;
        }
        block.setLinear(role, new Parameters(weight, Optional.of(own)));
      }
    }
    for (int c = 0; c < z.length; c++) {
      bias[c] -= z[c];
    }
  }

  private static float[] best(
      BlockTask task, TransformerBlock block, InputSite site, float[] x, float[] reach) {
    float largest = 0;
    for (float one : reach) {
      largest = Math.max(largest, one);
    }
    float[] best = new float[reach.length];
    Arrays.fill(best, 1f);
    double least = Double.POSITIVE_INFINITY;
    for (int step = 0; step < STEPS && largest > 0; step++) {
      float threshold = largest * (STEPS - step) / STEPS;
      float[] scales = new float[reach.length];
      for (int c = 0; c < scales.length; c++) {
        scales[c] = Math.max(1f, reach[c] / threshold);
      }
      double error = error(task, block, site, x, scales);
      if (error < least) {
        least = error;
        best = scales;
      }
    }
    return best;
  }

  /** Squared error of the outputs of a site's linears, all rounded. */
  private static double error(
      BlockTask task, TransformerBlock block, InputSite site, float[] x, float[] scales) {
    WorkerThreads workers = task.forward().workers();
    int width = scales.length;
    int tokens = x.length / width;
    float[] inputs = new float[x.length];
    for (int i = 0; i < x.length; i++) {
      inputs[i] = x[i] / scales[i % width];
    }
    if (task.scheme().quantizesActivations()) {
      int bits = task.scheme().activationBits();
      workers.run(
          tokens, (from, to, worker) -> FakeQuantizer.runs(inputs, from, to, width, bits, inputs));
    }
    FloatGemm gemm = new FloatGemm(workers);
    double error = 0;
    for (LinearRole role : block.roles()) {
      if (InputSite.of(role) == site) {
        float[] weight = block.linear(role).weight();
        int rows = weight.length / width;
        float[] scaled = weight.clone();
        float[] negative = new float[weight.length];
        for (int i = 0; i < scaled.length; i++) {
          scaled[i] *= scales[i % width];
          negative[i] = -weight[i];
        }
        float[] rounded =
            NearestRounding.round(scaled, task.layout(role), task.scheme().symmetric(), workers)
                .toFloats();
        FloatMatrix y = FloatMatrix.of(new float[tokens * rows], tokens, rows);
        gemm.multiply(
            FloatMatrix.of(x, tokens, width),
            FloatMatrix.of(negative, rows, width).transposed(),
            y);
        gemm.add(
            FloatMatrix.of(inputs, tokens, width),
            FloatMatrix.of(rounded, rows, width).transposed(),
            y);
        for (float d : y.data()) {
          error += (double) d * d;
        }
      }
    }
    return error;
  }
}
