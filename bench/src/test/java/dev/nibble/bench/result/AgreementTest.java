package dev.nibble.bench.result;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.nibble.bench.result.Measurement.Clocks;
import dev.nibble.bench.result.Measurement.Context;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Origin;
import dev.nibble.bench.result.Measurement.Run;
import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class AgreementTest {
  private static Measurement figure(String name, Origin origin, double... samples) {
    return Measurement.of(
        Kind.KERNEL,
        name,
        Map.of(),
        "us",
        Spread.of(samples),
        Work.NONE,
        origin,
        new Context(
            new Machine("GPU", "580", "CPU", 2, "25"),
            Clocks.UNKNOWN,
            new Run("abc", "command", "2026-01-01", "")));
  }

  private static Measurement figure(String name, double... samples) {
    return figure(name, Origin.MEASURED, samples);
  }

  @Test
  void spreadsThatDoNotMeetAreListed() {
    Agreement found =
        Agreement.of(
            List.of(
                figure("same", 9, 10, 11),
                figure("slower", 9, 10, 11),
                figure("faster", 9, 10, 11),
                figure("gone", 1, 1)),
            List.of(
                figure("same", 11, 12, 13),
                figure("slower", 12, 13, 14),
                figure("faster", 6, 7, 8),
                figure("new", 1, 1),
                figure("newer", 1, 1)),
            0);
    assertEquals(
        List.of("slower", "faster"), found.apart().stream().map(p -> p.first().name()).toList());
    assertEquals(3, found.pairs().size());
    assertEquals(1, found.onlyFirst());
    assertEquals(2, found.onlySecond());
    assertEquals(0.3, found.mostChange(), 1e-12);
    assertEquals(0.3, found.medianChange(), 1e-12);
  }

  @Test
  void slackWidensBothSpreads() {
    List<Measurement> before = List.of(figure("a", 10, 10, 10));
    List<Measurement> after = List.of(figure("a", 11, 11, 11));
    assertEquals(1, Agreement.of(before, after, 0.04).apart().size());
    assertEquals(0, Agreement.of(before, after, 0.06).apart().size());
  }

  @Test
  void singleSamplesMayDifferALittle() {
    assertEquals(
        0, Agreement.of(List.of(figure("a", 100)), List.of(figure("a", 104)), 0).apart().size());
    assertEquals(
        1, Agreement.of(List.of(figure("a", 100)), List.of(figure("a", 106)), 0).apart().size());
  }

  @Test
  void nothingMayStayNothing() {
    Agreement found = Agreement.of(List.of(figure("a", 0)), List.of(figure("a", 0)), 0);
    assertEquals(List.of(), found.apart());
    assertEquals(0, found.mostChange());
  }

  @Test
  void onlyWhatWasMeasuredCounts() {
    Agreement found =
        Agreement.of(
            List.of(figure("a", Origin.COMPUTED, 1), figure("b", Origin.PUBLISHED, 1)),
            List.of(figure("a", Origin.COMPUTED, 2), figure("b", Origin.PUBLISHED, 2)),
            0);
    assertEquals(List.of(), found.pairs());
    assertEquals(0, found.onlyFirst());
  }
}
