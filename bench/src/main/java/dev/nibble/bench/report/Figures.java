package dev.nibble.bench.report;

import dev.nibble.bench.result.Ceilings;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Origin;
import java.util.Collection;
import java.util.List;
import java.util.OptionalDouble;
import java.util.function.Predicate;

/**
 * The measurements of one device.
 *
 * @param device its name
 * @param all its measurements
 * @param ceilings what it can do
 */
record Figures(String device, List<Measurement> all, Ceilings ceilings) {
  static Figures of(String device, Collection<Measurement> measurements) {
    List<Measurement> own =
        measurements.stream().filter(m -> m.machine().device().equals(device)).toList();
    return new Figures(device, own, new Ceilings(own));
  }

  List<Measurement> find(Kind kind, String name) {
    return find(kind, name, _ -> true);
  }

  /** This project's own figures. */
  List<Measurement> find(Kind kind, String name, Predicate<Measurement> wanted) {
    return all.stream()
        .filter(m -> m.kind() == kind && m.name().equals(name))
        .filter(m -> m.origin() == Origin.MEASURED || m.origin() == Origin.COMPUTED)
        .filter(wanted)
        .toList();
  }

  OptionalDouble ceiling(String name) {
    return ceilings.of(name, device);
  }

  /** Microseconds of a time. */
  static double microseconds(Measurement measurement) {
    double value = measurement.value().median();
    return switch (measurement.unit()) {
      case "ns" -> value / 1e3;
      case "us" -> value;
      case "ms" -> value * 1e3;
      default -> throw new IllegalArgumentException(measurement.unit() + " is no time");
    };
  }
}
