package dev.nibble.bench.result;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

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
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AgreementTest {
  private static Measurement figure(
      Kind kind, String name, String driver, Origin origin, double... samples) {
    return Measurement.of(
        kind,
        name,
        Map.of(),
        "us",
        Spread.of(samples),
        Work.NONE,
        origin,
        new Context(
            new Machine("GPU", driver, "CPU", 2, "25"),
            Clocks.UNKNOWN,
            new Run("abc", "command", "2026-01-01", "")));
  }

  private static Measurement figure(String name, double... samples) {
    return figure(Kind.KERNEL, name, "580", Origin.MEASURED, samples);
  }

  @ParameterizedTest
  @CsvSource({
    "CEILING, read, 580, MEASURED, 20, CEILING",
    "CEILING, read, '', MEASURED, 20, HOST",
    "CALL, Launches.launchFfm, 580, MEASURED, 20, HOST",
    "CALL, ForeignCalls.plain, '', MEASURED, 20, HOST",
    "KERNEL, gemm, 580, MEASURED, 20, KERNEL",
    "KERNEL, gemv, 580, MEASURED, 9.9, SHORT_KERNEL",
    "KERNEL, gemm.torch, 580, IMPORTED, 9.9, LIBRARY",
    "KERNEL, gemv, '', MEASURED, 9.9, HOST",
    "MODEL, decode, 580, MEASURED, 700, MODEL",
    "MODEL, decode.p50, 580, MEASURED, 700, MODEL",
    "MODEL, decode.p99, 580, MEASURED, 700, TAIL",
    "MODEL, decode.host, 580, MEASURED, 7, HOST",
    "MODEL, load.read, 580, MEASURED, 7, HOST",
    "MODEL, decode, '', MEASURED, 700, HOST",
    "MEMORY, decode.rss, 580, MEASURED, 700, BYTES",
    "MEMORY, object, '', MEASURED, 24, BYTES",
  })
  void everyFigureIsOfASort(
      Kind kind,
      String name,
      String driver,
      Origin origin,
      double value,
      Reproducibility expected) {
    assertEquals(expected, Reproducibility.of(figure(kind, name, driver, origin, value)));
  }

  @Test
  void rangesReachAsFarBeyondTheSamplesAsRunsDiffer() {
    Measurement figure = figure("a", 90, 100, 120);
    double share = Reproducibility.KERNEL.share();
    assertTrue(share > 0 && share < 1);
    assertEquals(
        new Spread(100, 90 * (1 - share), 120 * (1 + share), 3), Reproducibility.range(figure));
  }

  private static boolean agrees(double median) {
    Measurement first = figure("a", 90, 100, 120);
    // The second run's own spread is not asked.
    Measurement second = figure("a", 1, median, 1e6);
    return Agreement.of(List.of(first), List.of(second)).apart().isEmpty();
  }

  @Test
  void aSecondRunsMedianHasToLieInTheFirstOnesRange() {
    Spread range = Reproducibility.range(figure("a", 90, 100, 120));
    assertTrue(agrees(range.min()));
    assertTrue(agrees(range.max()));
    assertTrue(!agrees(range.min() - 0.01));
    assertTrue(!agrees(range.max() + 0.01));
  }

  @Test
  void whatIsApartIsListedAndWhatOneRunLacksIsCounted() {
    Agreement found =
        Agreement.of(
            List.of(
                figure("same", 90, 100, 110),
                figure("slower", 90, 100, 110),
                figure("faster", 90, 100, 110),
                figure("gone", 1, 1)),
            List.of(
                figure("same", 110),
                figure("slower", 130),
                figure("faster", 70),
                figure("new", 1, 1),
                figure("newer", 1, 1)));
    assertEquals(
        List.of("slower", "faster"), found.apart().stream().map(p -> p.first().name()).toList());
    assertEquals(3, found.pairs().size());
    assertEquals(1, found.onlyFirst());
    assertEquals(2, found.onlySecond());
    assertEquals(0.3, found.mostChange(), 1e-12);
    assertEquals(0.3, found.medianChange(), 1e-12);
    assertEquals(1, found.only(pair -> pair.first().name().equals("faster")).apart().size());
  }

  @Test
  void figuresOfTwoSpeedsAreWide() {
    Agreement found =
        Agreement.of(
            List.of(figure("a", 125, 159, 160), figure("b", 10, 10)),
            List.of(figure("a", 158, 160), figure("b", 10, 10)));
    assertEquals(35.0 / 159, found.pairs().getFirst().width(), 1e-12);
    assertEquals(0, found.pairs().getLast().width());
  }

  @Test
  void nothingMayStayNothing() {
    Agreement found = Agreement.of(List.of(figure("a", 0)), List.of(figure("a", 0)));
    assertEquals(List.of(), found.apart());
    assertEquals(0, found.mostChange());
  }

  @Test
  void onlyWhatWasMeasuredCounts() {
    Agreement found =
        Agreement.of(
            List.of(
                figure(Kind.KERNEL, "a", "580", Origin.COMPUTED, 1),
                figure(Kind.KERNEL, "b", "580", Origin.PUBLISHED, 1)),
            List.of(figure(Kind.KERNEL, "a", "580", Origin.COMPUTED, 2)));
    assertEquals(List.of(), found.pairs());
    assertEquals(0, found.onlyFirst());
  }
}
