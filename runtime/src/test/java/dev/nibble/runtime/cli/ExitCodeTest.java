package dev.nibble.runtime.cli;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.method.FolderBusyException;
import dev.nibble.quantizer.method.FolderExistsException;
import dev.nibble.runtime.cuda.CudaException;
import dev.nibble.runtime.cuda.FakeDevice;
import dev.nibble.runtime.engine.NonFiniteLogitsException;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.DeviceException;
import dev.nibble.runtime.model.UnfitModelException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class ExitCodeTest {
  private static final Path FILE = Path.of("model.safetensors");

  static List<Arguments> failures() {
    return List.of(
        Arguments.of(new IllegalArgumentException("no"), ExitCode.USAGE),
        Arguments.of(new FolderExistsException(FILE, "is there"), ExitCode.USAGE),
        Arguments.of(new ModelFormatException(FILE, "header", "bad"), ExitCode.BAD_INPUT),
        Arguments.of(new UnfitInputException("no chat template"), ExitCode.BAD_INPUT),
        Arguments.of(new NonFiniteLogitsException(3), ExitCode.BAD_INPUT),
        Arguments.of(new UnfitModelException(Device.cuda(0), "head", "no"), ExitCode.BAD_INPUT),
        Arguments.of(new NoSuchFileException("x"), ExitCode.NO_INPUT),
        Arguments.of(new FileNotFoundException("x"), ExitCode.NO_INPUT),
        Arguments.of(new DeviceException(Device.cuda(3), "absent"), ExitCode.UNAVAILABLE),
        Arguments.of(failureOfTheDriver(), ExitCode.UNAVAILABLE),
        Arguments.of(new FolderBusyException(FILE), ExitCode.TRY_AGAIN),
        Arguments.of(new AccessDeniedException("x"), ExitCode.IO),
        Arguments.of(new IOException("x"), ExitCode.IO),
        Arguments.of(new UncheckedIOException(new NoSuchFileException("x")), ExitCode.NO_INPUT),
        Arguments.of(new ClosedOutputException(new IOException()), ExitCode.CLOSED_OUTPUT),
        Arguments.of(new IllegalStateException("x"), ExitCode.INTERNAL),
        Arguments.of(new NullPointerException(), ExitCode.INTERNAL));
  }

  private static CudaException failureOfTheDriver() {
    FakeDevice sound = FakeDevice.sound();
    sound.open().close();
    int call = sound.calls().indexOf("cuCtxSetCurrent");
    return assertThrows(
        CudaException.class, FakeDevice.failing(call, FakeDevice.ILLEGAL_ADDRESS)::open);
  }

  @ParameterizedTest
  @MethodSource("failures")
  void everyFailureHasItsCodeAndOneLine(Exception failure, ExitCode code) {
    assertEquals(code, ExitCode.of(failure));
    assertOneLine(Failures.describe(failure) + "\n");
  }

  private static void assertOneLine(String text) {
    assertEquals(text.length() - 1, text.indexOf('\n'), text);
    assertTrue(text.length() > 1, text);
  }

  static List<Arguments> commandLines() {
    String books = Invocation.BOOKS.toString();
    String alice = Invocation.TEXTS.resolve("alice.txt").toString();
    String missing = Invocation.ROOT.resolve("no-such-folder").toString();
    String few = Invocation.BOOKS.resolve("config.json").toString(); // tokens
    return List.of(
        usage(),
        usage("dance"),
        usage("run", "--no-such-option", "x"),
        usage("run", "hello"), // no default model outside an installation
        usage("run", "-m", books, "-n", "many", "x"),
        usage("run", "-m", books, "-n", "0", "x"),
        usage("run", "-m", books, "--temperature", "-1", "x"),
        usage("run", "-m", books, "--top-p", "0", "x"),
        usage("run", "-m", books, "--device", "tpu", "x"),
        usage("run", "-m", books, "--context", "4097", "x"),
        usage("run", "-m", books, "one", "two"),
        usage("perplexity", "-m", books),
        usage("perplexity", "-m", books, "--text", alice, "--context", "1"),
        usage("perplexity", "-m", books, "--text", alice, "--windows", "0"),
        usage("logits", "-m", books, "--ids", "1,two", "-o", "x.npy"),
        usage("logits", "-m", books, "--ids", "", "-o", "x.npy"),
        usage("tokenize", "-m", books, "text", "--file", alice),
        usage("detokenize", "-m", books, "8192"),
        usage("bench", "--synthetic", "books-8m", "-m", books),
        usage("bench", "--synthetic", "gpt-5"),
        usage("bench", "-m", books, "--scheme", "W4A16g128"),
        usage("bench", "-m", books, "-p", "0", "-n", "0"),
        usage("bench", "-m", books, "-r", "0"),
        usage("bench", "-m", books, "--warm-up", "-1"),
        usage("quantize", "-m", books, "-o", "x", "--scheme", "W5A16"),
        usage("quantize", "-m", books, "-o", "x", "--scheme", "W4A16", "--method", "omniquant"),
        usage("quantize", "-m", books, "-o", "x", "--scheme", "W4A16", "--method", "magic"),
        usage("quantize", "-m", books, "-o", "x", "--scheme", "W4A16", "--resume"),
        usage("quantize", "-m", books, "-o", "x", "--scheme", "W4A16", "--par-steps", "4"),
        usage("quantize", "-m", books, "-o", "x", "--scheme", "W4A16", "--report", missing + "/r"),
        usage("bench", "-m", books, "-p", "2000000000", "-d", "2000000000"),
        usage("run", "-m", books, "--context", "2147483647", "x"),
        usage("run", "-m", "", "x"),
        usage("run", "-m", "a\0b", "x"),
        Arguments.of(ExitCode.NO_INPUT, List.of("run", "-m", missing, "x")),
        Arguments.of(ExitCode.NO_INPUT, List.of("tokenize", "-m", missing, "x")),
        Arguments.of(ExitCode.NO_INPUT, List.of("inspect", "-m", missing)),
        Arguments.of(ExitCode.NO_INPUT, List.of("bench", "-m", missing)),
        Arguments.of(
            ExitCode.NO_INPUT, List.of("quantize", "-m", missing, "-o", "x", "--scheme", "W4A16")),
        Arguments.of(ExitCode.NO_INPUT, List.of("perplexity", "-m", books, "--text", missing)),
        Arguments.of(
            ExitCode.NO_INPUT,
            List.of("quantize", "-m", books, "-o", "x", "--scheme", "W4A16", "--text", missing)),
        Arguments.of(
            ExitCode.BAD_INPUT,
            List.of("quantize", "-m", books, "-o", "x", "--scheme", "W4A16", "--text", few)),
        Arguments.of(ExitCode.BAD_INPUT, List.of("perplexity", "-m", books, "--text", few)),
        Arguments.of(ExitCode.BAD_INPUT, List.of("perplexity", "-m", books, "--text", books)),
        Arguments.of(ExitCode.BAD_INPUT, List.of("tokenize", "-m", books, "--file", books)),
        Arguments.of(
            ExitCode.IO, List.of("logits", "-m", books, "--ids", "1", "-o", missing + "/x.npy")),
        Arguments.of(ExitCode.IO, List.of("logits", "-m", books, "--ids", "1", "-o", books)),
        Arguments.of(ExitCode.BAD_INPUT, List.of("run", "-m", alice, "x")),
        absent("run", "-m", books, "x"),
        absent("perplexity", "-m", books, "--text", alice),
        absent("logits", "-m", books, "--ids", "1,2", "-o", "x.npy"),
        absent("bench", "-m", books),
        absent("bench", "--synthetic", "books-8m"));
  }

  /** A GPU that no machine has. */
  private static Arguments absent(String... args) {
    List<String> all = new ArrayList<>(List.of(args));
    all.addAll(1, List.of("--device", "cuda:77"));
    return Arguments.of(ExitCode.UNAVAILABLE, all);
  }

  private static Arguments usage(String... args) {
    return Arguments.of(ExitCode.USAGE, List.of(args));
  }

  @ParameterizedTest
  @MethodSource("commandLines")
  void everyMistakeEndsInOneLine(ExitCode code, List<String> args) {
    Invocation result = Invocation.of(args.toArray(String[]::new));
    assertAll(
        () -> assertEquals(code.number(), result.code(), result.err()),
        () -> assertEquals("", result.out()),
        () -> assertOneLine(result.err()),
        () -> assertTrue(result.err().startsWith("nibble"), result.err()),
        () -> assertFalse(result.err().contains("java."), result.err()),
        () -> assertFalse(result.err().contains(".partial"), result.err()));
  }

  @Test
  void verboseAddsTheStackTrace() {
    Invocation result =
        Invocation.of("run", "-v", "-m", Invocation.ROOT.resolve("no-such-folder").toString(), "x");
    assertEquals(ExitCode.NO_INPUT.number(), result.code());
    assertTrue(result.err().contains("\tat "), result.err());
  }

  @Test
  void damagedModelIsNamed(@TempDir Path folder) throws IOException {
    for (String name : List.of("config.json", "tokenizer.model")) {
      Files.copy(Invocation.BOOKS.resolve(name), folder.resolve(name));
    }
    Path tensors = folder.resolve("model.safetensors");
    Files.write(tensors, new byte[] {1, 2, 3});
    Invocation result = Invocation.of("run", "-m", folder.toString(), "x");
    assertEquals(ExitCode.BAD_INPUT.number(), result.code());
    assertTrue(result.err().contains(tensors.toString()), result.err());
    assertOneLine(result.err());
  }

  @Test
  void helpGoesToStandardOutput() {
    for (String command : List.of("run", "quantize", "perplexity", "logits", "tokenize", "bench")) {
      Invocation help = Invocation.of(command, "--help");
      assertEquals(0, help.code());
      assertTrue(help.out().startsWith("Usage: nibble " + command), help.out());
      assertFalse(help.out().contains("\033"), "no colours");
      assertEquals("", help.err());
    }
    assertTrue(Invocation.of("--version").out().startsWith("nibble "));
    assertTrue(Invocation.of("--help").out().contains("  75 "), "exit codes");
  }
}
