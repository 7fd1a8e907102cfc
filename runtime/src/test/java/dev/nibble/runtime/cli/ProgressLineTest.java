package dev.nibble.runtime.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ProgressLineTest {
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();
  private final AtomicLong seconds = new AtomicLong();

  private ProgressLine line(boolean interactive, Map<String, String> environment) {
    Host host =
        new Host(
            InputStream.nullInputStream(),
            new Results(OutputStream.nullOutputStream()),
            new PrintStream(err, true, StandardCharsets.UTF_8),
            interactive,
            environment,
            Optional.empty());
    return new ProgressLine(host, () -> seconds.get() * 1_000_000_000L);
  }

  private String shown() {
    return err.toString(StandardCharsets.UTF_8);
  }

  @Test
  void drawsABarOnATerminalAndTakesItAway() {
    try (ProgressLine line = line(true, Map.of())) {
      seconds.set(10);
      line.at(1, 3, "first");
      seconds.set(3700);
      line.at(2, 3, "second");
    }
    assertEquals(
        "\r\033[K[##########....................] 1/3  0:20 left  first"
            + "\r\033[K[####################..........] 2/3  30:50 left  second"
            + "\r\033[K",
        shown());
  }

  @ParameterizedTest
  @CsvSource({"false, xterm", "true, dumb"})
  void writesPlainLinesElsewhere(boolean interactive, String terminal) {
    try (ProgressLine line = line(interactive, Map.of("TERM", terminal))) {
      line.at(0, 3, "none");
      seconds.set(1);
      line.at(1, 3, "too early");
      seconds.set(6);
      line.at(2, 3, "second");
      seconds.set(7);
      line.at(3, 3, "last");
    }
    assertEquals(String.format("2/3  0:03 left  second%n3/3  0:00 left  last%n"), shown());
  }
}
