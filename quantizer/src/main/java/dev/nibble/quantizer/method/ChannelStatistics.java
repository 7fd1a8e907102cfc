package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.TransformerBlock;
import java.util.Arrays;

/** Ranges and mean magnitudes of the channels of a site's inputs. Not thread-safe. */
final class ChannelStatistics {
  private final float[] min;
  private final float[] max;
  private final double[] magnitudes;
  private long tokens;

  ChannelStatistics(int width) {
    min = new float[width];
    max = new float[width];
    magnitudes = new double[width];
    Arrays.fill(min, Float.POSITIVE_INFINITY);
    Arrays.fill(max, Float.NEGATIVE_INFINITY);
  }

  /** Those of every site, for the inputs and activations of the full-precision model. */
  static BySite<ChannelStatistics> of(BlockTask task, TransformerBlock block) {
    BySite<ChannelStatistics> sites =
        new BySite<>(site -> new ChannelStatistics(site.width(block.config())));
    for (int w = 0; w < task.fullInputs().windows(); w++) {
      task.forward()
          .inputs(
              block,
              BlockPrecision.FULL,
              task.fullInputs().window(w),
              InputSite.DOWN,
              (site, raw, rounded) -> sites.get(site).add(raw));
      task.progress().step(w + 1, task.fullInputs().windows(), Double.NaN);
    }
    return sites;
  }

  /** Adds inputs [tokens, width]. */
  void add(float[] x) {
    int width = min.length;
    for (int at = 0; at < x.length; at += width) {
      for (int c = 0; c < width; c++) {
        float value = x[at + c];
        min[c] = Math.min(min[c], value);
        max[c] = Math.max(max[c], value);
        magnitudes[c] += Math.abs(value);
      }
    }
    tokens += x.length / width;
  }

  /** The smallest value of a channel. */
  float min(int channel) {
    return min[channel];
  }

  /** The largest value of a channel. */
  float max(int channel) {
    return max[channel];
  }

  /** The largest magnitude of a channel. */
  float maxMagnitude(int channel) {
    return Math.max(-min[channel], max[channel]);
  }

  /** The mean magnitude of a channel. */
  double meanMagnitude(int channel) {
    return magnitudes[channel] / tokens;
  }
}
