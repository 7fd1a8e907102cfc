package dev.nibble.bench.result;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.nibble.bench.result.Agreement.Slack;
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
            Slack.NONE);
    assertEquals(
        List.of("slower", "faster"), found.apart().stream().map(p -> p.first().name()).toList());
    assertEquals(3, found.pairs().size());
    assertEquals(1, found.onlyFirst());
    assertEquals(2, found.onlySecond());
    assertEquals(0.3, found.mostChange(), 1e-12);
    assertEquals(0.3, found.medianChange(), 1e-12);
  }

  private static int apart(Measurement first, Measurement second, Slack slack) {
    return Agreement.of(List.of(first), List.of(second), slack).apart().size();
  }

  @Test
  void whatLiesBetweenTwoSpreadsIsAllowedUpToTheSlack() {
    Measurement before = figure("a", 10, 10, 10);
    Measurement after = figure("a", 11, 11, 11);
    assertEquals(1, apart(before, after, new Slack(0.09, 1)));
    assertEquals(0, apart(before, after, new Slack(0.092, 0)));
    assertEquals(0, apart(after, before, new Slack(0.092, 0)));
    Agreement found = Agreement.of(List.of(before), List.of(after), new Slack(0.1, 0));
    assertEquals(0, found.meeting());
    assertEquals(1.0 / 11, found.pairs().getFirst().gap(), 1e-12);
  }

  @Test
  void callsAndFiguresOfTheCpuHaveTheHostsSlack() {
    Measurement gpu = figure("a", 10, 10);
    Measurement call =
        Measurement.of(
            Kind.CALL,
            "c",
            Map.of(),
            "ns",
            gpu.value(),
            Work.NONE,
            Origin.MEASURED,
            new Context(gpu.machine(), Clocks.UNKNOWN, gpu.run()));
    Measurement slower = call.with(Spread.of(11, 11));
    assertEquals(1, apart(call, slower, new Slack(1, 0.05)));
    assertEquals(0, apart(call, slower, new Slack(0, 0.1)));
  }

  @Test
  void singleSamplesMayDifferALittle() {
    assertEquals(0, apart(figure("a", 100), figure("a", 104), Slack.NONE));
    assertEquals(1, apart(figure("a", 100), figure("a", 106), Slack.NONE));
  }

  @Test
  void figuresOfTwoSpeedsAreWide() {
    Agreement found =
        Agreement.of(
            List.of(figure("a", 125, 159, 160), figure("b", 10, 10)),
            List.of(figure("a", 158, 160), figure("b", 10, 10)),
            Slack.NONE);
    assertEquals(35.0 / 159, found.pairs().getFirst().width(), 1e-12);
    assertEquals(0, found.pairs().getLast().width());
    assertEquals(2, found.meeting());
    assertEquals(1, found.only(pair -> pair.width() > 0.1).pairs().size());
  }

  @Test
  void nothingMayStayNothing() {
    Agreement found = Agreement.of(List.of(figure("a", 0)), List.of(figure("a", 0)), Slack.NONE);
    assertEquals(List.of(), found.apart());
    assertEquals(0, found.mostChange());
  }

  @Test
  void onlyWhatWasMeasuredCounts() {
    Agreement found =
        Agreement.of(
            List.of(figure("a", Origin.COMPUTED, 1), figure("b", Origin.PUBLISHED, 1)),
            List.of(figure("a", Origin.COMPUTED, 2), figure("b", Origin.PUBLISHED, 2)),
            Slack.NONE);
    assertEquals(List.of(), found.pairs());
    assertEquals(0, found.onlyFirst());
  }
}
