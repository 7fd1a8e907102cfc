package dev.nibble.bench.result;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.bench.SourceTree;
import dev.nibble.bench.result.Measurement.Clocks;
import dev.nibble.bench.result.Measurement.Context;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Origin;
import dev.nibble.bench.result.Measurement.Run;
import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ResultFileTest {
  @TempDir Path folder;

  private static Measurement gemv(double microseconds, String time) {
    return Measurement.of(
        Kind.KERNEL,
        "gemv",
        Map.of("shape", "4096x4096"),
        "us",
        Spread.of(microseconds, microseconds + 1, microseconds + 9),
        new Work(8_000_000, 33_554_432),
        Origin.MEASURED,
        new Context(
            new Machine("GPU", "580", "CPU", 2, "25"),
            new Clocks(1980, 3201, 40),
            new Run("abc", "command", time, "{}")));
  }

  @Test
  void whatIsWrittenIsRead() throws IOException {
    ResultFile file = new ResultFile(folder.resolve("deeper/results.jsonl"));
    assertEquals(List.of(), file.read());
    file.append(List.of(gemv(4, "2026-01-01T00:00:00Z")));
    file.append(List.of(gemv(5, "2026-01-02T00:00:00Z")));
    assertEquals(
        List.of(gemv(4, "2026-01-01T00:00:00Z"), gemv(5, "2026-01-02T00:00:00Z")), file.read());
  }

  @Test
  void lineThatARunWasEndedInIsDropped() throws IOException {
    Path path = folder.resolve("results.jsonl");
    ResultFile file = new ResultFile(path);
    file.append(List.of(gemv(4, "1")));
    Files.writeString(path, "{\"kind\":\"ker", StandardOpenOption.APPEND);
    assertEquals(List.of(gemv(4, "1")), file.read());
    file.append(List.of(gemv(5, "2")));
    assertEquals(List.of(gemv(4, "1"), gemv(5, "2")), file.read());
  }

  @Test
  void otherLinesAreRefusedByNumber() throws IOException {
    Path path = folder.resolve("results.jsonl");
    Files.writeString(path, "\n{\"kernel\":\"gemv\"}\n");
    IOException refusal = assertThrows(IOException.class, () -> new ResultFile(path).read());
    assertTrue(refusal.getMessage().contains("line 2"), refusal.getMessage());
  }

  @Test
  void latestTakesThePlaceOfEarlier() throws IOException {
    new ResultFile(folder.resolve("b.jsonl")).append(List.of(gemv(4, "2026-01-01")));
    new ResultFile(folder.resolve("a.jsonl")).append(List.of(gemv(5, "2026-01-02")));
    assertEquals(List.of(gemv(5, "2026-01-02")), ResultFile.latest(folder));
  }

  private static Measurement ofStep(double microseconds, String step, String commit) {
    Measurement m = gemv(microseconds, "2026-01-01");
    return Measurement.of(
        m.kind(),
        m.name(),
        m.parameters(),
        m.unit(),
        m.value(),
        m.work(),
        m.origin(),
        new Context(m.machine(), m.clocks(), new Run(commit, "command", "2026-01-01", step)));
  }

  @Test
  void roundsOfAStepBecomeOne() throws IOException {
    Path path = folder.resolve("results.jsonl");
    ResultFile file = new ResultFile(path);
    file.append(
        List.of(
            ofStep(4, "aa#1", "abc"),
            ofStep(40, "bb#1", "abc"),
            ofStep(400, "aa#1", "other"),
            ofStep(6, "aa#2", "abc"),
            ofStep(1, "", "abc"),
            ofStep(2, "", "abc")));
    file.poolRounds();
    List<Measurement> rows = file.read();
    assertEquals(
        List.of("aa#2", "bb#1", "aa#1", "", ""), rows.stream().map(m -> m.run().step()).toList());
    assertEquals(new Spread(6, 4, 15, 6), rows.getFirst().value()); // medians 5 and 7
    assertEquals(new Spread(2, 1, 10, 3), rows.get(3).value());
    file.poolRounds();
    assertEquals(rows, file.read());
    try (Stream<Path> files = Files.list(folder)) {
      assertEquals(List.of(path), files.toList());
    }
  }

  @Test
  void namesOfRoundsAreReadBack() {
    StepRound second = new StepRound("1a2b3c4d", 2);
    assertEquals(second, StepRound.parse(second.toString()));
    assertEquals(new StepRound("{}", 1), StepRound.parse("{}"));
  }

  @Test
  void sixDigitsAreKeptAndAllOfWholeNumbers() throws IOException {
    Path path = folder.resolve("results.jsonl");
    Measurement m = gemv(1, "").with(new Spread(7.123456789, 0.0012345678, 85899345920.0, 3));
    new ResultFile(path).append(List.of(m));
    assertEquals(
        new Spread(7.12346, 0.00123457, 85899345920.0, 3),
        new ResultFile(path).read().getFirst().value());
    assertTrue(Files.size(path) < 500, Files.readString(path));
  }

  @Test
  void linesLeaveOutWhatTheLineBeforeHas() throws IOException {
    Path path = folder.resolve("results.jsonl");
    List<Measurement> rows =
        List.of(
            ofStep(4, "aa#1", "abc"),
            ofStep(5, "bb#1", "abc"),
            ofStep(6, "cc#1", "abd"),
            ofStep(7, "cc#1", "abd"),
            gemv(8, "2026-01-02"));
    new ResultFile(path).append(rows);
    List<String> lines = Files.readString(path).lines().toList();
    assertTrue(lines.get(0).contains("580") && lines.get(0).contains("2026-01-01"), lines.get(0));
    assertTrue(lines.get(1).endsWith("\"run\":{\"step\":\"bb#1\"}}"), lines.get(1));
    assertFalse(lines.get(1).contains("machine"), lines.get(1));
    assertTrue(lines.get(2).contains("abd") && !lines.get(2).contains("time"), lines.get(2));
    assertTrue(lines.get(3).endsWith("\"operations\":33554432}}"), lines.get(3));
    assertEquals(rows, new ResultFile(path).read());
    // Another process begins with all of it.
    new ResultFile(path).append(List.of(ofStep(8, "dd#1", "abc")));
    assertTrue(Files.readString(path).lines().toList().getLast().contains("580"));
    assertEquals(6, new ResultFile(path).read().size());
    new ResultFile(path).poolRounds(); // of step cc two
    assertEquals(5, new ResultFile(path).read().size());
    assertEquals(1, Files.readString(path).split("580", -1).length - 1);

    Files.writeString(path, lines.get(1) + "\n");
    IOException refusal = assertThrows(IOException.class, () -> new ResultFile(path).read());
    assertTrue(refusal.getMessage().contains("line 1: not a measurement: no machine"));
  }

  @Test
  void whatIsUnknownIsLeftOut() throws IOException {
    Path path = folder.resolve("results.jsonl");
    Measurement m = gemv(1, "");
    Measurement bare =
        Measurement.of(
            m.kind(),
            m.name(),
            Map.of(),
            m.unit(),
            m.value(),
            Work.NONE,
            m.origin(),
            new Context(m.machine(), Clocks.UNKNOWN, m.run()));
    new ResultFile(path).append(List.of(bare, bare));
    String lines = Files.readString(path);
    assertFalse(lines.contains("work") || lines.contains("clocks"), lines);
    // After clocks that are known it has to be told.
    new ResultFile(path).append(List.of(m, bare, m));
    assertEquals(List.of(bare, bare, m, bare, m), new ResultFile(path).read());
  }

  @Test
  void committedResultsAreMeasurements() throws IOException {
    List<Measurement> results = ResultFile.latest(SourceTree.file("bench/results"));
    assertFalse(results.isEmpty());
    for (Measurement result : results) {
      assertTrue(result.value().min() <= result.value().median(), result.toString());
      assertTrue(result.value().median() <= result.value().max(), result.toString());
      assertFalse(result.run().command().isEmpty(), result.toString());
      assertFalse(result.machine().device().isEmpty(), result.toString());
    }
  }

  @Test
  void sharesAreOfTheCeilingThatBinds() {
    Measurement ceiling =
        Measurement.of(
            Kind.CEILING,
            "read",
            Map.of(),
            "GB/s",
            Spread.of(4000),
            Work.NONE,
            Origin.MEASURED,
            new Context(gemv(1, "").machine(), Clocks.UNKNOWN, gemv(1, "").run()));
    Measurement gemv = gemv(3, "");
    assertEquals(2.0 / 4, new Ceilings(List.of(ceiling)).share(gemv).orElseThrow().of(), 1e-12);
    assertTrue(new Ceilings(List.of()).share(gemv).isEmpty());
    assertEquals(4, gemv.value().median());
    assertEquals("2,000 GB/s, 8.39 TFLOP/s", Ceilings.rates(gemv));
    assertEquals("", Ceilings.rates(ceiling));
  }
}
