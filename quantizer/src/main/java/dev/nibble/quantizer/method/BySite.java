package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.InputSite;
import java.util.EnumMap;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;

/** One thing a site. */
final class BySite<T> {
  private final Map<InputSite, T> things = new EnumMap<>(InputSite.class);

  BySite(Function<InputSite, T> make) {
    for (InputSite site : InputSite.values()) {
      things.put(site, make.apply(site));
    }
  }

  T get(InputSite site) {
    return Objects.requireNonNull(things.get(site));
  }
}
