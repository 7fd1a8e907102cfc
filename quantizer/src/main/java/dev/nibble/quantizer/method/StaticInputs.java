package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.InputQuantizer;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.format.ModuleName;
import dev.nibble.quantizer.format.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * Static quantization of a site's inputs, one scale and zero for each 32 stored channels: a =
 * clamp(round(x / scale) + zero, 0, 2^bits - 1). The scales move into the weights' scales and the
 * zeros into the bias, so that at run time inputs are only rounded.
 *
 * @param bits code width
 * @param scales one for each 32 stored channels
 * @param zeros one a scale, 0 to 2^bits - 1
 */
@SuppressWarnings("ArrayRecordComponent") // shared, not compared
record StaticInputs(int bits, float[] scales, int[] zeros) {
  /** Channels that share a scale in the packed format. */
  static final int CHANNELS = 32;

  private static final float SMALLEST_SCALE = 1e-5f;

  /** Weight of what was before, each window counting for the rest, as in RPTQ's calibration. */
  private static final double DECAY = 0.99;

  /**
   * Scales from what the windows showed: for each cluster the moving averages of the least and the
   * greatest value of a window, the range widened to hold 0.
   *
   * @param windows ranges of the source channels in each window
   * @param order stored channel i is source channel order[i]
   * @param clusters the cluster of each 32 stored channels
   */
  static StaticInputs of(List<ChannelRanges> windows, int[] order, int[] clusters, int bits) {
    float[] scales = new float[clusters.length];
    int[] zeros = new int[clusters.length];
    int top = (1 << bits) - 1;
    for (int run = 0; run < clusters.length; run++) {
      double min = 0;
      double max = 0;
      for (int w = 0; w < windows.size(); w++) {
        double least = Double.POSITIVE_INFINITY;
        double greatest = Double.NEGATIVE_INFINITY;
        for (int i = 0; i < order.length; i++) {
          if (clusters[i / CHANNELS] == clusters[run]) {
            least = Math.min(least, windows.get(w).min()[order[i]]);
            greatest = Math.max(greatest, windows.get(w).max()[order[i]]);
          }
        }
        double kept = w == 0 ? 0 : DECAY;
        min = kept * min + (1 - kept) * least;
        max = kept * max + (1 - kept) * greatest;
      }
      min = Math.min(min, 0);
      max = Math.max(max, 0);
      scales[run] = Math.max(SMALLEST_SCALE, (float) ((max - min) / top));
      zeros[run] = Math.clamp((int) Math.rint(-min / scales[run]), 0, top);
    }
    return new StaticInputs(bits, scales, zeros);
  }

  /** The scale of each stored channel. */
  float[] units() {
    float[] units = new float[scales.length * CHANNELS];
    for (int i = 0; i < units.length; i++) {
      units[i] = scales[i / CHANNELS];
    }
    return units;
  }

  /** Weights [rows, stored channels] as they multiply codes instead of inputs. */
  float[] scaled(float[] weight) {
    int columns = scales.length * CHANNELS;
    float[] scaled = new float[weight.length];
    for (int i = 0; i < weight.length; i++) {
      scaled[i] = weight[i] * scales[i % columns / CHANNELS];
    }
    return scaled;
  }

  /** The weights whose {@link #scaled} form is given. */
  float[] unscaled(float[] weight) {
    int columns = scales.length * CHANNELS;
    float[] unscaled = new float[weight.length];
    for (int i = 0; i < weight.length; i++) {
      unscaled[i] = weight[i] / scales[i % columns / CHANNELS];
    }
    return unscaled;
  }

  /**
   * The bias with the inputs' zeros in it.
   *
   * @param bias one an output
   * @param linear codes of the scaled weights
   */
  float[] folded(float[] bias, QuantizedLinear linear) {
    float[] weight = linear.toFloats();
    int columns = linear.layout().columns();
    float[] folded = new float[bias.length];
    for (int r = 0; r < bias.length; r++) {
      double sum = bias[r];
      for (int c = 0; c < columns; c++) {
        int signedZero = zeros[c / CHANNELS] - (1 << (bits - 1));
        sum -= (double) weight[r * columns + c] * signedZero;
      }
      folded[r] = (float) sum;
    }
    return folded;
  }

  /**
   * What happens to inputs in the source's order.
   *
   * @param order stored channel i is source channel order[i]
   */
  InputQuantizer quantizer(int[] order) {
    float[] scale = new float[order.length];
    float[] zero = new float[order.length];
    for (int i = 0; i < order.length; i++) {
      scale[order[i]] = scales[i / CHANNELS];
      zero[order[i]] = zeros[i / CHANNELS];
    }
    float top = (1 << bits) - 1;
    return (x, from, to, width, out) -> {
      for (int at = from * width; at < to * width; at += width) {
        for (int i = 0; i < width; i++) {
          float code = (float) Math.rint(x[at + i] / scale[i]) + zero[i];
          out[at + i] = (Math.max(0f, Math.min(top, code)) - zero[i]) * scale[i];
        }
      }
    };
  }

  /** Scales and zeros as a linear's tensors, and the bits where the scheme has others. */
  List<Tensor> tensors(ModuleName linear, int schemeBits) {
    List<Tensor> tensors = new ArrayList<>();
    tensors.add(QuantizedBlock.floats(linear.clusterScales(), scales));
    tensors.add(Halves.ints(linear.clusterZeros(), zeros));
    if (bits != schemeBits) {
      tensors.add(Halves.ints(linear.clusterBits(), new int[] {bits}));
    }
    return tensors;
  }
}
