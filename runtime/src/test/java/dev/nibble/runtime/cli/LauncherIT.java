package dev.nibble.runtime.cli;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.runtime.cuda.CudaDevices;
import dev.nibble.runtime.cuda.CudaStatus;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The distribution that the build has just made, as a user starts it. Runs after package. */
class LauncherIT {
  private static final Path LAUNCHER = Invocation.ROOT.resolve("runtime/target/nibble/bin/nibble");
  private static final String BOOKS = Invocation.BOOKS.toString();
  private static final String ON_THE_CPU = "WARN Engine - running on the CPU: [^\n]+\n";
  private static final int SIGINT = 2;
  private static final int TERMINATED = 128 + 15;
  private static final String PROMPT = "Once upon a time there was a little girl who";

  @TempDir private Path folder;

  private Process start(Path launcher, Map<String, String> environment, String... args)
      throws IOException {
    List<String> command = Stream.concat(Stream.of(launcher.toString()), Stream.of(args)).toList();
    ProcessBuilder builder = new ProcessBuilder(command);
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    builder.environment().put("XDG_CACHE_HOME", folder.toString());
    builder.environment().putAll(environment);
    return builder.start();
  }

  private Invocation run(Map<String, String> environment, String... args)
      throws IOException, InterruptedException {
    Process process = start(LAUNCHER, environment, args);
    process.getOutputStream().close();
    return end(process);
  }

  private static Invocation end(Process process) throws IOException, InterruptedException {
    String out = text(process.getInputStream());
    String err = text(process.getErrorStream());
    assertTrue(process.waitFor(1, TimeUnit.MINUTES));
    return new Invocation(process.exitValue(), out, err);
  }

  private static String text(InputStream stream) throws IOException {
    return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
  }

  /** The first start makes the class cache, and says so; where there is no GPU that is said too. */
  private static String withoutNotice(String err) {
    return err.replace("nibble: preparing fast starts, which happens once ...\n", "")
        .replaceFirst(ON_THE_CPU, "");
  }

  @Test
  void whyItIsTheCpuIsSaidInOneLine() throws Exception {
    boolean gpu = CudaDevices.probe() instanceof CudaStatus.Ready;
    Invocation result = run(Map.of(), "run", "-m", BOOKS, "-n", "1", PROMPT);
    assertEquals(0, result.code(), result.err());
    assertEquals("", withoutNotice(result.err()));
    assertEquals(gpu, !Pattern.compile(ON_THE_CPU).matcher(result.err()).find(), result.err());
    Invocation cpu = run(Map.of(), "run", "-m", BOOKS, "--device", "cpu", "-n", "1", PROMPT);
    assertFalse(cpu.err().contains("CPU"), cpu.err());
  }

  @Test
  void nothingButTheAnswerIsPrinted() throws Exception {
    Invocation version = run(Map.of(), "--version");
    assertEquals(0, version.code(), version.err());
    assertTrue(version.out().matches("nibble \\d+\\.\\d+\\.\\d+(-SNAPSHOT)?\n"), version.out());
    assertEquals("", withoutNotice(version.err()));
  }

  @Test
  void argumentsAreUtf8InEveryLocale() throws Exception {
    String text = "Bäume — 木 🌳";
    Invocation expected = Invocation.of("tokenize", "-m", BOOKS, text);
    Invocation actual = run(Map.of("LC_ALL", "C"), "tokenize", "-m", BOOKS, text);
    assertEquals(expected.out(), actual.out(), actual.err());
  }

  @Test
  void failuresKeepTheirExitCodeAndLine() throws Exception {
    Invocation result = run(Map.of(), "inspect", "-m", "/no/such/folder");
    assertEquals(ExitCode.NO_INPUT.number(), result.code());
    assertEquals(
        "nibble inspect: /no/such/folder: no such file or folder\n", withoutNotice(result.err()));
  }

  @Test
  void whatTheJvmSaysWhenItCannotStartIsPassedOn() throws Exception {
    Invocation result = run(Map.of("JAVA_TOOL_OPTIONS", "-XX:NoSuchFlag"), "--version");
    assertEquals(1, result.code());
    assertTrue(result.err().contains("NoSuchFlag"), result.err());
  }

  @Test
  void twoFirstRunsAtOnceShareTheWork() throws Exception {
    String[] args = {"run", "-n", "3", "--json", PROMPT};
    Process one = start(LAUNCHER, Map.of(), args);
    Process other = start(LAUNCHER, Map.of(), args);
    Invocation first = end(one);
    Invocation second = end(other);
    assertAll(
        () -> assertEquals(0, first.code(), first.err()),
        () -> assertEquals(0, second.code(), second.err()));
    assertEquals(tokens(first), tokens(second));
    try (Stream<Path> made = Files.list(folder.resolve("nibble"))) {
      assertEquals(1, made.filter(Files::isDirectory).count());
    }
  }

  private static String tokens(Invocation result) {
    return result.out().replaceFirst(".*\"tokens\":\\[([0-9,]+)].*\n", "$1");
  }

  @Test
  void interruptedGenerationEndsItsLine() throws Exception {
    Process process = start(LAUNCHER, Map.of(), "run", "-m", BOOKS, "-n", "1000", PROMPT);
    process.getOutputStream().close();
    int first = process.getInputStream().read();
    boolean background = ignoresInterrupts();
    signal(process, background ? "TERM" : "INT");
    Invocation result = end(process);
    int expected = background ? TERMINATED : ExitCode.INTERRUPTED.number();
    assertEquals(expected, result.code(), result.err());
    assertEquals(' ', first);
    assertTrue(result.out().endsWith("\n"), result.out());
    assertEquals("", withoutNotice(result.err()));
  }

  /**
   * Whether a shell started these tests in the background, where what they start ignores SIGINT.
   */
  private static boolean ignoresInterrupts() throws IOException {
    Path status = Path.of("/proc/self/status");
    if (!Files.exists(status)) {
      return false;
    }
    String ignored =
        Files.readString(status).replaceFirst("(?s).*\nSigIgn:\t([0-9a-f]+)\n.*", "$1");
    return (Long.parseUnsignedLong(ignored, 16) & 1 << (SIGINT - 1)) != 0;
  }

  private static void signal(Process process, String name) throws Exception {
    String pid = Long.toString(process.pid());
    assertEquals(0, new ProcessBuilder("kill", "-" + name, pid).start().waitFor());
  }

  @Test
  void closedOutputEndsQuietly() throws Exception {
    Process process = start(LAUNCHER, Map.of(), "run", "-m", BOOKS, "-n", "1000", PROMPT);
    process.getOutputStream().close();
    assertEquals(' ', process.getInputStream().read());
    process.getInputStream().close();
    assertEquals("", withoutNotice(text(process.getErrorStream())));
    assertEquals(ExitCode.CLOSED_OUTPUT.number(), process.waitFor());
  }

  @Test
  void runsThroughALinkAndInAFolderWithBlanks() throws Exception {
    Path copy = folder.resolve("a folder");
    copyTree(LAUNCHER.getParent().getParent(), copy);
    Path link = Files.createSymbolicLink(folder.resolve("link"), copy.resolve("bin/nibble"));
    Process process = start(link, Map.of(), "tokenize", "--no-bos", "the");
    process.getOutputStream().close();
    Invocation result = end(process);
    assertEquals(0, result.code(), result.err());
    assertEquals(Invocation.of("tokenize", "-m", BOOKS, "--no-bos", "the").out(), result.out());
  }

  private static void copyTree(Path from, Path to) throws IOException {
    try (Stream<Path> files = Files.walk(from)) {
      for (Path file : files.toList()) {
        if (!file.toString().endsWith(".aot")) {
          Files.copy(file, to.resolve(from.relativize(file).toString()));
        }
      }
    }
  }
}
