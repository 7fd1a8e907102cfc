package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.calibration.TransformerBlock.Parameters;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.tensor.FloatGemm;
import dev.nibble.quantizer.tensor.FloatMatrix;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Ranges of the channels that a block reorders, each window's apart: the inputs of its linears, and
 * the outputs of query and key. The block runs at full precision on the inputs that the quantized
 * blocks before it leave.
 */
final class ReorderStatistics {
  private final Map<InputSite, List<ChannelRanges>> inputs = new EnumMap<>(InputSite.class);
  private final ChannelRanges queries;
  private final ChannelRanges keys;

  ReorderStatistics(BlockTask task) {
    TransformerBlock block = task.block();
    ModelConfig config = block.config();
    queries = ChannelRanges.empty(config.rows(LinearRole.QUERY));
    keys = ChannelRanges.empty(config.rows(LinearRole.KEY));
    for (InputSite site : InputSite.values()) {
      inputs.put(site, new ArrayList<>());
    }
    FloatGemm gemm = new FloatGemm(task.forward().workers());
    int windows = task.quantizedInputs().windows();
    for (int w = 0; w < windows; w++) {
      task.forward()
          .inputs(
              block,
              BlockPrecision.FULL,
              task.quantizedInputs().window(w),
              InputSite.DOWN,
              (site, raw, rounded) -> {
                of(site).add(ChannelRanges.of(raw, site.width(config)));
                if (site == InputSite.ATTENTION) {
                  queries.include(outputs(gemm, block, LinearRole.QUERY, raw));
                  keys.include(outputs(gemm, block, LinearRole.KEY, raw));
                }
              });
      task.progress().step(w + 1, windows, Double.NaN);
    }
  }

  /** Ranges of a site's channels, a window each. */
  List<ChannelRanges> of(InputSite site) {
    return Objects.requireNonNull(inputs.get(site));
  }

  /** Ranges of a site's channels over all windows. */
  ChannelRanges all(InputSite site) {
    ChannelRanges all = ChannelRanges.empty(of(site).getFirst().channels());
    of(site).forEach(all::include);
    return all;
  }

  /** Ranges of the queries before head norms and RoPE. */
  ChannelRanges queries() {
    return queries;
  }

  /** Ranges of the keys before head norms and RoPE. */
  ChannelRanges keys() {
    return keys;
  }

  private static ChannelRanges outputs(
      FloatGemm gemm, TransformerBlock block, LinearRole role, float[] x) {
    int out = block.config().rows(role);
    int in = block.config().columns(role);
    int rows = x.length / in;
    float[] y = new float[Math.multiplyExact(rows, out)];
    Parameters linear = block.linear(role);
    gemm.multiply(
        FloatMatrix.of(x, rows, in),
        FloatMatrix.of(linear.weight(), out, in).transposed(),
        FloatMatrix.of(y, rows, out));
    ChannelRanges ranges = ChannelRanges.of(y, out);
    float[] bias = linear.biasOrZeros(out);
    for (int i = 0; i < out; i++) {
      ranges.min()[i] += bias[i];
      ranges.max()[i] += bias[i];
    }
    return ranges;
  }
}
