package dev.nibble.bench.suite;

import dev.nibble.bench.result.Ceilings;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Reproducibility;
import java.util.Locale;

/** A measurement for people. */
final class Line {
  private Line() {}

  /**
   * Value, spread, where another run's median is expected, and share of the ceiling where there is
   * one.
   */
  static String of(Measurement measurement, Ceilings ceilings) {
    Measurement.Spread value = measurement.value();
    String parameters = measurement.parameters().isEmpty() ? "" : " " + measurement.parameters();
    String rates = Ceilings.rates(measurement);
    String share =
        ceilings
            .share(measurement)
            .map(s -> String.format(Locale.ROOT, ", %.0f %% of %s", 100 * s.of(), s.ceiling()))
            .orElse("");
    Measurement.Spread range = Reproducibility.range(measurement);
    return String.format(
        Locale.ROOT,
        "%s%s: %s %s (%s to %s of %d; another run %s to %s)%s%s",
        measurement.name(),
        parameters,
        number(value.median()),
        measurement.unit(),
        number(value.min()),
        number(value.max()),
        value.samples(),
        number(range.min()),
        number(range.max()),
        rates.isEmpty() ? "" : ", " + rates,
        share);
  }

  private static String number(double value) {
    double magnitude = Math.abs(value);
    return magnitude == 0 || magnitude >= 1000
        ? String.format(Locale.ROOT, "%,.0f", value)
        : String.format(Locale.ROOT, "%.3g", value);
  }
}
