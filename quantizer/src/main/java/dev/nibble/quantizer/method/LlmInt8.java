package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import java.util.EnumMap;
import java.util.Map;
import java.util.Objects;
import java.util.stream.IntStream;

/**
 * LLM.int8(), Dettmers et al. 2022: inputs that reach a magnitude of 6 are not quantized, the rest
 * is multiplied in 8 bits.
 *
 * <p>Which those are is found at run time, in each token; the paper takes a channel for a whole
 * batch, which would make a token depend on its neighbours. Channels that reach the magnitude on
 * the calibration text keep their weights at 16 bits, and are never quantized; one that first does
 * so at run time is multiplied by its weights of 8 bits, as the authors' library does with weights
 * that are stored quantized. Weights have a scale a row; inputs are rounded per token as the scheme
 * has it, which spends a zero point the paper does without.
 */
final class LlmInt8 implements BlockMethod {
  private static final float THRESHOLD = 6f;

  @Override
  public String name() {
    return "llm.int8";
  }

  @Override
  public Map<String, String> settings() {
    return Map.of("threshold", Float.toString(THRESHOLD));
  }

  @Override
  public void check(ModelConfig config, QuantScheme scheme) {
    if (scheme.weightBits() != 8
        || scheme.activationBits() != 8
        || !scheme.symmetric()
        || scheme.groupSize() != 0) {
      throw new IllegalArgumentException(
          "method llm.int8 cannot do " + scheme + ": it does W8A8sym, and W8A8symKV4, W8A8symH8");
    }
  }

  @Override
  public boolean followsFullPrecision() {
    return false;
  }

  @Override
  public QuantizedBlock quantize(BlockTask task) {
    OutlierBlock result = new OutlierBlock(task);
    Map<InputSite, ChannelRanges> ranges = ranges(task);
    for (InputSite site : InputSite.values()) {
      ChannelRanges of = Objects.requireNonNull(ranges.get(site));
      int[] channels =
          IntStream.range(0, of.channels())
              .filter(i -> Math.max(-of.min()[i], of.max()[i]) >= THRESHOLD)
              .toArray();
      OutlierColumns columns = new OutlierColumns(channels, of.channels());
      for (LinearRole role : result.linears(site)) {
        float[] rest = columns.without(task.block().linear(role).weight());
        result.add(
            role,
            NearestRounding.round(rest, task.layout(role), true, task.forward().workers()),
            columns,
            THRESHOLD);
      }
    }
    return result.made();
  }

  private static Map<InputSite, ChannelRanges> ranges(BlockTask task) {
    Map<InputSite, ChannelRanges> ranges = new EnumMap<>(InputSite.class);
    int windows = task.quantizedInputs().windows();
    for (int w = 0; w < windows; w++) {
      task.forward()
          .inputs(
              task.block(),
              BlockPrecision.FULL,
              task.quantizedInputs().window(w),
              InputSite.DOWN,
              (site, raw, rounded) -> {
                int width = site.width(task.block().config());
                ranges
                    .computeIfAbsent(site, s -> ChannelRanges.empty(width))
                    .include(ChannelRanges.of(raw, width));
              });
      task.progress().step(w + 1, windows, Double.NaN);
    }
    return ranges;
  }
}
