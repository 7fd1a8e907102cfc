package dev.nibble.bench.suite;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.ResultFile;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SuiteRunTest {
  private static final String STEPS =
      """
      [{"run": "model", "device": "cpu", "model": "nobodys", "scheme": "W4A16", "prompt": 4,
        "generate": 0, "depth": 0, "batch": 1, "repetitions": 1, "warmUp": 0},
       {"run": "model", "device": "cpu", "model": "books-8m", "scheme": "W4A16g128", "prompt": "4,8",
        "generate": 5, "depth": 0, "batch": "1,2", "repetitions": 5, "warmUp": 0}]
      """;

  @TempDir Path folder;

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();

  private boolean run(Path results) throws IOException {
    Map<String, Step> steps = StepFile.parse("steps", STEPS);
    out.reset();
    try (SuiteRun suite =
        new SuiteRun(
            steps, "", "abc", "command", new PrintStream(out, true, StandardCharsets.UTF_8))) {
      return suite.run(results);
    }
  }

  @Test
  void stepsThatFailAreToldOfAndTheOthersDone() throws IOException {
    Path results = folder.resolve("results.jsonl");
    assertFalse(run(results));
    String told = out.toString(StandardCharsets.UTF_8);
    assertTrue(told.contains("failed: nibble bench") && told.contains("nobodys"), told);
    List<Measurement> found = new ResultFile(results).read();
    assertEquals(
        List.of(
            "prefill 4 1", "prefill 8 1", "decode 5 1", "prefill 4 2", "prefill 8 2", "decode 5 2"),
        found.stream()
            .filter(m -> m.unit().equals("tokens/s"))
            .map(m -> m.name() + " " + m.parameter("tokens") + " " + m.parameter("batch"))
            .toList());
    for (Measurement m : found) {
      assertTrue(m.value().samples() == 5 || m.unit().equals("bytes"), m.toString());
      assertTrue(m.value().min() <= m.value().median(), m.toString());
    }
    // Memory belongs to the process, which did several tests.
    assertTrue(found.stream().noneMatch(m -> m.unit().equals("bytes")), found.toString());

    assertFalse(run(results));
    assertTrue(out.toString(StandardCharsets.UTF_8).contains("already in the results"));
    assertEquals(found.size(), new ResultFile(results).read().size());
  }
}
