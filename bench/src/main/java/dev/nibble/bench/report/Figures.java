package dev.nibble.bench.report;

import dev.nibble.bench.result.Ceilings;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Origin;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
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

  /** The latest of those wanted. */
  Optional<Measurement> latest(Predicate<Measurement> wanted) {
    return latest(all, wanted);
  }

  static Optional<Measurement> latest(List<Measurement> figures, Predicate<Measurement> wanted) {
    return figures.stream()
        .filter(wanted)
        .max(Comparator.comparing((Measurement m) -> m.run().time()));
  }

  /** A product of some tokens, of our kernel alone. */
  Optional<Measurement> product(String shape, String tokens, String scheme) {
    return latest(m -> isProduct(m, shape, tokens, scheme) && m.origin() == Origin.MEASURED);
  }

  /** The same product of one token as a decode step has it. */
  Optional<Measurement> productOfStep(String shape, String scheme, String as) {
    return latest(m ->
        m.kind() == Kind.KERNEL
            && m.parameter("shape").equals(shape)
            && m.parameter("scheme").equals(scheme)
            && m.parameter("as").equals(as));
  }

  /** The same product by cuBLASLt. */
  Optional<Measurement> libraryProduct(String shape, String tokens, String scheme) {
    return productBy("cuBLASLt", shape, tokens, scheme);
  }

  /** The same product by a program whose name begins so, of whatever day. */
  Optional<Measurement> productBy(String program, String shape, String tokens, String scheme) {
    return latest(
        m -> isProduct(m, shape, tokens, scheme) && m.parameter("program").startsWith(program));
  }

  private static boolean isProduct(Measurement m, String shape, String tokens, String scheme) {
    return m.kind() == Kind.KERNEL
        && m.parameter("shape").equals(shape)
        && m.parameter("tokens").equals(tokens)
        && m.parameter("scheme").equals(scheme)
        && m.parameter("with").isEmpty()
        && m.parameter("as").isEmpty();
  }

  /** The share of the ceiling that binds, empty where that is not known. */
  String percent(Measurement m) {
    return ceilings.share(m).map(s -> MarkdownTable.percent(s.of())).orElse("");
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
