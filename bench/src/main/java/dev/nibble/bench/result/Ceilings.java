package dev.nibble.bench.result;

import dev.nibble.bench.result.Measurement.Kind;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;

/** What devices can do, as measured, and how near to it other figures come. */
public final class Ceilings {
  /** Name of the ceiling of reading memory, GB/s. */
  public static final String READ = "read";

  /** Name of the ceiling of fp16 products, TFLOP/s. */
  public static final String FP16 = "fp16";

  /** Name of the ceiling of 8-bit products, TOP/s. */
  public static final String INT8 = "int8";

  private final List<Measurement> ceilings;

  /**
   * Takes the ceilings out of measurements.
   *
   * @param measurements of any kind
   */
  public Ceilings(Collection<Measurement> measurements) {
    ceilings = measurements.stream().filter(m -> m.kind() == Kind.CEILING).toList();
  }

  /**
   * A share of a ceiling.
   *
   * @param of 1 for all of it
   * @param ceiling its name
   */
  public record Share(double of, String ceiling) {}

  /**
   * A ceiling of a device.
   *
   * @param name of it
   * @param device the machine's
   * @return the latest, in its own unit
   */
  public OptionalDouble of(String name, String device) {
    return ceilings.stream()
        .filter(m -> m.name().equals(name) && m.machine().device().equals(device))
        .reduce((a, b) -> b)
        .map(m -> OptionalDouble.of(m.value().median()))
        .orElse(OptionalDouble.empty());
  }

  /**
   * How near to the ceiling that binds a figure is: its least possible time in its time.
   *
   * @param measurement of a time or a speed whose work is known
   * @return the share, empty where the work or the ceiling is not known
   */
  public Optional<Share> share(Measurement measurement) {
    double seconds = seconds(measurement);
    if (seconds <= 0) {
      return Optional.empty();
    }
    String device = measurement.machine().device();
    double reading = measurement.work().bytes() / 1e9 / of(READ, device).orElse(Double.NaN);
    String units = computesIntegers(measurement) ? INT8 : FP16;
    double computing =
        measurement.work().operations() / 1e12 / of(units, device).orElse(Double.NaN);
    if (!(reading > 0) && !(computing > 0)) {
      return Optional.empty();
    }
    boolean reads = !(computing > reading);
    return Optional.of(
        reads ? new Share(reading / seconds, READ) : new Share(computing / seconds, units));
  }

  /**
   * What a figure moves and computes in a second.
   *
   * @param measurement of a time or a speed
   * @return such as {@code 3,200 GB/s, 12.5 TFLOP/s}, without what its work does not tell
   */
  public static String rates(Measurement measurement) {
    double seconds = seconds(measurement);
    List<String> rates = new ArrayList<>();
    if (seconds > 0 && measurement.work().bytes() > 0) {
      rates.add(
          String.format(Locale.ROOT, "%,.4g GB/s", measurement.work().bytes() / seconds / 1e9));
    }
    if (seconds > 0 && measurement.work().operations() > 0) {
      String unit = computesIntegers(measurement) ? "TOP/s" : "TFLOP/s";
      double rate = measurement.work().operations() / seconds / 1e12;
      rates.add(String.format(Locale.ROOT, "%.3g %s", rate, unit));
    }
    return String.join(", ", rates);
  }

  /** Inputs of 8 bits or fewer go through the integer units. */
  private static boolean computesIntegers(Measurement measurement) {
    String scheme = measurement.parameter("scheme");
    return scheme.matches("W\\d+A[468].*");
  }

  /** Seconds of one call; 0 for what is no time. */
  private static double seconds(Measurement measurement) {
    double value = measurement.value().median();
    return switch (measurement.unit()) {
      case "ns" -> value / 1e9;
      case "us" -> value / 1e6;
      case "ms" -> value / 1e3;
      case "s" -> value;
      case "tokens/s" -> batch(measurement) / value;
      default -> 0;
    };
  }

  private static double batch(Measurement measurement) {
    String batch = measurement.parameter("batch");
    return batch.isEmpty() ? 1 : Integer.parseInt(batch);
  }
}
