package dev.nibble.quantizer.method;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Calibrations that are killed at any moment and go on, or run out of disk. */
@Timeout(1800)
class CalibratedQuantizerProcessTest {
  private static final Path ROOT = Path.of(System.getProperty("project.root"));
  private static final Path MODEL = ROOT.resolve("runtime/models/books-8m");
  private static final Path TEXT = ROOT.resolve("runtime/src/test/resources/text/calibration.txt");

  @TempDir Path folder;
  @TempDir Path logs;

  @Test
  void aKilledRunGoesOnToTheSameBytes() throws Exception {
    kill("gptq", "W3A16", 2);
  }

  @Tag("acceptance")
  @Test
  void fiftyKilledRunsGoOnToTheSameBytes() throws Exception {
    kill("gptq", "W3A16", 18);
    kill("omniquant", "W4A8KV4", 16);
    kill("gptaq+rotate", "W4A4KV4", 16);
  }

  /**
   * Kills runs at random moments, at most as late as a run takes, and lets another one go on with
   * other threads.
   */
  private void kill(String method, String scheme, int kills) throws Exception {
    Path reference = folder.resolve("reference-" + method);
    long start = System.nanoTime();
    end(start(reference, scheme, method, 1));
    long wholeNanos = System.nanoTime() - start;
    Map<String, byte[]> expected = FolderQuantizerTest.files(reference);
    long seed = Long.getLong("tests.seed", System.nanoTime());
    Random random = new Random(seed);
    for (int kill = 0; kill < kills; kill++) {
      Path packed = folder.resolve("packed-" + method + kill);
      Process process = start(packed, scheme, method, 1 + kill % 2);
      process.waitFor(random.nextLong(wholeNanos), TimeUnit.NANOSECONDS);
      process.destroyForcibly().waitFor();
      if (!Files.exists(packed)) {
        end(start(packed, scheme, method, 2 - kill % 2));
        assertEquals(
            Set.of(reference.getFileName().toString(), packed.getFileName().toString()),
            entries(),
            "-Dtests.seed=" + seed);
      }
      FolderQuantizerTest.assertSame(expected, FolderQuantizerTest.files(packed));
      for (Path left : List.of(packed, suffixed(packed, ".resume"), suffixed(packed, ".rotated"))) {
        DestinationFolder.delete(left);
      }
      Files.deleteIfExists(suffixed(packed, ".lock"));
    }
    DestinationFolder.delete(reference);
  }

  @Test
  void aFullDiskLeavesSourceAndDestinationAsTheyWere() throws Exception {
    Path packed = folder.resolve("packed");
    Path source = FolderQuantizerTest.copy(MODEL, folder.resolve("source"));
    Map<String, byte[]> before = FolderQuantizerTest.files(source);
    List<String> shell = new ArrayList<>(List.of("sh", "-c", "ulimit -f 400; exec \"$@\"", "sh"));
    shell.addAll(CalibrateProcess.command(source, packed, "W3A16", "gptq", TEXT, 2));
    Process process = new ProcessBuilder(shell).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), UTF_8);
    assertEquals(QuantizeProcess.IO_ERROR, process.waitFor(), output);
    assertTrue(output.contains("packed.resume"), output);
    assertEquals(Set.of("packed.resume", "source"), entries());
    FolderQuantizerTest.assertSame(before, FolderQuantizerTest.files(source));
    end(new ProcessBuilder(CalibrateProcess.command(source, packed, "W3A16", "gptq", TEXT, 2)));
    assertEquals(Set.of("packed", "source"), entries());
  }

  private Process start(Path destination, String scheme, String method, int threads)
      throws IOException {
    return log(new ProcessBuilder(
            CalibrateProcess.command(MODEL, destination, scheme, method, TEXT, threads)))
        .start();
  }

  private ProcessBuilder log(ProcessBuilder builder) {
    return builder
        .redirectErrorStream(true)
        .redirectOutput(Redirect.appendTo(logs.resolve("log").toFile()));
  }

  private void end(ProcessBuilder builder) throws Exception {
    end(log(builder).start());
  }

  private void end(Process process) throws Exception {
    assertEquals(QuantizeProcess.DONE, process.waitFor(), Files.readString(logs.resolve("log")));
  }

  private static Path suffixed(Path path, String suffix) {
    return path.resolveSibling(path.getFileName() + suffix);
  }

  private Set<String> entries() {
    Set<String> names = new TreeSet<>();
    for (String name : Objects.requireNonNull(folder.toFile().list())) {
      names.add(name);
    }
    return names;
  }
}
