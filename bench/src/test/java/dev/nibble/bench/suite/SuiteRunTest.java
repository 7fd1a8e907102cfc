package dev.nibble.bench.suite;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.ResultFile;
import dev.nibble.runtime.cuda.CudaDevices;
import dev.nibble.runtime.cuda.CudaStatus;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
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

  /** Of the full profile: schemes, contexts, batches. */
  private static final long STEPS_OF_MEMORY = 4 * 3 * 4;

  @TempDir Path folder;

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();

  private boolean run(Path results) throws IOException {
    return run(results, STEPS);
  }

  private boolean run(Path results, String text) throws IOException {
    out.reset();
    try (SuiteRun suite =
        new SuiteRun(
            StepFile.parse("steps", text),
            "",
            "abc",
            "command",
            new PrintStream(out, true, StandardCharsets.UTF_8))) {
      return suite.run(results);
    }
  }

  @Test
  void stepsThatFailAreToldOfAndTheOthersDone() throws IOException {
    Path results = folder.resolve("results.jsonl");
    assertFalse(run(results));
    String told = told();
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
    assertTrue(told().contains("already in the results"));
    assertEquals(found.size(), new ResultFile(results).read().size());
  }

  @Test
  void endOfTheHostsStretchIsSaidOnce() throws IOException {
    String memory =
        """
        {"run": "memory", "model": "books-8m", "scheme": "W4A16g128", "context": "%d", "batch": "1"}
        """;
    String model = STEPS.substring(STEPS.lastIndexOf("{\"run\""), STEPS.lastIndexOf(']'));
    String steps = String.join(", ", memory.formatted(64), model, memory.formatted(128));
    assertTrue(run(folder.resolve("results.jsonl"), "[" + steps + "]"));
    String told = told();
    assertEquals(2, told.split(SuiteRun.HOST_DONE, -1).length, told);
    int at = told.indexOf(SuiteRun.HOST_DONE);
    assertTrue(told.indexOf("[2/3]") < at && at < told.indexOf("[3/3]"), told);

    assertTrue(run(folder.resolve("none.jsonl"), "[" + memory.formatted(64) + "]"));
    assertFalse(told().contains(SuiteRun.HOST_DONE), told());
  }

  @Test
  void roundsArePooled() throws IOException {
    Path results = folder.resolve("results.jsonl");
    String step =
        """
        {"run": "model", "device": "cpu", "model": "books-8m", "scheme": "W4A16g128", "prompt": 0,
         "generate": 4, "depth": 0, "batch": 1, "repetitions": 5, "warmUp": 0}
        """;
    assertTrue(run(results, "[" + step + "]"));
    List<Measurement> once = new ResultFile(results).read();
    assertTrue(run(results, "[" + step + ", {\"again\": [\"model\"]}]"));
    assertTrue(told().contains("already in the results"), told());
    List<Measurement> twice = new ResultFile(results).read();
    assertEquals(once.size(), twice.size());
    for (int i = 0; i < once.size(); i++) {
      assertEquals(once.get(i).subject(), twice.get(i).subject());
      assertEquals(2 * once.get(i).value().samples(), twice.get(i).value().samples());
      assertTrue(twice.get(i).value().min() <= once.get(i).value().min());
      assertTrue(twice.get(i).value().max() >= once.get(i).value().max());
    }
    assertTrue(run(results, "[" + step + ", {\"again\": [\"model\"]}]"));
    assertEquals(2, told().split("already in the results", -1).length - 1, told());
    assertEquals(twice, new ResultFile(results).read());
  }

  /** What needs another program, or a GPU, says which. */
  @Test
  void peersAreLeftOutWithAReasonWhereThereIsNoGpu() throws IOException {
    assumeFalse(CudaDevices.probe() instanceof CudaStatus.Ready);
    assertTrue(
        run(
            folder.resolve("results.jsonl"),
            "[{\"run\": \"peer\", \"script\": \"bench/peers/torch_gemm.py\"}]"));
    assertTrue(told().contains("left out on this machine:\n    python3 bench/peers"), told());
  }

  /** The full profile's steps that need nothing but a CPU, in a process that is killed. */
  @Test
  void fullProfileGoesOnWhereItWasKilled() throws IOException, InterruptedException {
    Path results = folder.resolve("full.jsonl");
    Process first = full(results);
    while (lines(results) < 3 && first.isAlive()) {
      Thread.sleep(5);
    }
    first.destroyForcibly().waitFor();
    long done = new ResultFile(results).read().stream().map(m -> m.run().step()).distinct().count();
    assertTrue(done > 0 && done < STEPS_OF_MEMORY, done + " steps before it was killed");
    // As if it had been killed amid a line.
    Files.writeString(results, "{\"kind\":\"mem", StandardOpenOption.APPEND);

    Process second = full(results);
    String said = new String(second.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, second.waitFor(), said);
    assertEquals(done, said.split("already in the results", -1).length - 1, said);
    List<Measurement> found = new ResultFile(results).read();
    assertEquals(STEPS_OF_MEMORY, found.stream().map(m -> m.run().step()).distinct().count());
    assertEquals(3 * STEPS_OF_MEMORY, found.size());
  }

  private static long lines(Path file) throws IOException {
    return Files.exists(file) ? Files.readString(file).lines().count() : 0;
  }

  private Process full(Path results) throws IOException {
    return new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "--add-modules=jdk.incubator.vector",
            "--enable-native-access=ALL-UNNAMED",
            "-Dproject.root=" + System.getProperty("project.root"),
            "-cp",
            System.getProperty("java.class.path"),
            Main.class.getName(),
            "--profile",
            "full",
            "--only",
            "\"memory\"",
            "--commit",
            "abc",
            "--results",
            results.toString())
        .redirectErrorStream(true)
        .start();
  }

  private String told() {
    return out.toString(StandardCharsets.UTF_8);
  }
}
