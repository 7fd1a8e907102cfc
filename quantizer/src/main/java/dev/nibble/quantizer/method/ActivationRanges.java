package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.InputSite;
import java.util.EnumMap;
import java.util.Map;
import java.util.Objects;

/** The range of each input channel of a block over the calibration windows. */
final class ActivationRanges {
  private final Map<InputSite, ChannelRanges> ranges = new EnumMap<>(InputSite.class);

  /** Measures the full-precision block on its full-precision inputs. */
  ActivationRanges(BlockTask task) {
    for (InputSite site : InputSite.values()) {
      ranges.put(site, ChannelRanges.empty(site.width(task.block().config())));
    }
    for (int w = 0; w < task.fullInputs().windows(); w++) {
      task.forward()
          .inputs(
              task.block(),
              BlockPrecision.FULL,
              task.fullInputs().window(w),
              InputSite.DOWN,
              (site, raw, rounded) -> {
                ChannelRanges all = ranges(site);
                all.include(ChannelRanges.of(raw, all.channels()));
              });
    }
  }

  private ChannelRanges ranges(InputSite site) {
    return Objects.requireNonNull(ranges.get(site));
  }

  /** max |x| of each channel. */
  float[] of(InputSite site) {
    ChannelRanges range = ranges(site);
    float[] largest = new float[range.channels()];
    for (int i = 0; i < largest.length; i++) {
      largest[i] = Math.max(-range.min()[i], range.max()[i]);
    }
    return largest;
  }

  /** (min + max) / 2 of each channel. */
  float[] middles(InputSite site) {
    ChannelRanges range = ranges(site);
    float[] middles = new float[range.channels()];
    for (int i = 0; i < middles.length; i++) {
      middles[i] = (range.min()[i] + range.max()[i]) / 2;
    }
    return middles;
  }
}
