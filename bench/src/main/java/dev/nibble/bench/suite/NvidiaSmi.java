package dev.nibble.bench.suite;

import dev.nibble.bench.result.Measurement.Clocks;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/** What the driver's own program says of the first GPU. */
final class NvidiaSmi {
  private NvidiaSmi() {}

  /** Release of the driver, empty if it cannot be read. */
  static String driver() {
    return query("driver_version").orElse("");
  }

  /** Clocks and temperature now. */
  static Clocks clocks() {
    return query("clocks.sm,clocks.mem,temperature.gpu")
        .map(line -> line.split(",\\s*"))
        .map(fields -> new Clocks(number(fields[0]), number(fields[1]), number(fields[2])))
        .orElse(Clocks.UNKNOWN);
  }

  /** Virtual machines may hide a value: {@code [N/A]}. */
  private static int number(String field) {
    return field.chars().allMatch(Character::isDigit) ? Integer.parseInt(field) : 0;
  }

  private static Optional<String> query(String fields) {
    try {
      Process process =
          new ProcessBuilder(
                  "nvidia-smi", "-i", "0", "--query-gpu=" + fields, "--format=csv,noheader,nounits")
              .redirectError(ProcessBuilder.Redirect.DISCARD)
              .start();
      String line =
          new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
      return process.waitFor() == 0 ? Optional.of(line) : Optional.empty();
    } catch (IOException e) {
      return Optional.empty(); // it is not installed, which the results then show
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new UncheckedIOException(new IOException("interrupted", e));
    }
  }
}
