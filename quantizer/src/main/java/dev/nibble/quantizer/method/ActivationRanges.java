package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.InputSite;
import java.util.EnumMap;
import java.util.Map;
import java.util.Objects;

/** The largest magnitude of each input channel of a block over the calibration windows. */
final class ActivationRanges {
  private final Map<InputSite, float[]> largest = new EnumMap<>(InputSite.class);

  /** Measures the full-precision block on its full-precision inputs. */
  ActivationRanges(BlockTask task) {
    for (InputSite site : InputSite.values()) {
      largest.put(site, new float[site.width(task.block().config())]);
    }
    for (int w = 0; w < task.fullInputs().windows(); w++) {
      task.forward()
          .inputs(
              task.block(),
              BlockPrecision.FULL,
              task.fullInputs().window(w),
              InputSite.DOWN,
              (site, raw, rounded) -> widen(of(site), raw));
    }
  }

  /** max |x| of each channel. */
  float[] of(InputSite site) {
    return Objects.requireNonNull(largest.get(site));
  }

  private static void widen(float[] most, float[] x) {
    for (int at = 0; at < x.length; at += most.length) {
      for (int i = 0; i < most.length; i++) {
        most[i] = Math.max(most[i], Math.abs(x[at + i]));
      }
    }
  }
}
