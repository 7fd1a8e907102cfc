package dev.nibble.runtime.cli;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;

/**
 * A command line, run in this JVM.
 *
 * @param code its exit code
 * @param out what it wrote to standard output
 * @param err what it wrote to standard error
 */
record Invocation(int code, String out, String err) {
  static final Path ROOT = Path.of(System.getProperty("project.root"));
  static final Path BOOKS = ROOT.resolve("runtime/models/books-8m");
  static final Path TEXTS = ROOT.resolve("runtime/src/test/resources/text");

  /** Runs without a default model. */
  static Invocation of(String... args) {
    return new Setting().run(args);
  }

  /** What surrounds a command line. */
  static final class Setting {
    private String input = "";
    private boolean interactive;
    private Map<String, String> environment = Map.of();
    private Optional<Path> home = Optional.empty();

    Setting input(String text) {
      input = text;
      return this;
    }

    Setting onTerminal() {
      interactive = true;
      return this;
    }

    /** Gives it the default model, and a folder for its packed copy. */
    Setting withDefaultModel(Path cache) {
      home = Optional.of(ROOT.resolve("runtime"));
      environment = Map.of("XDG_CACHE_HOME", cache.toString());
      return this;
    }

    Invocation run(String... args) {
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      return run(out, args);
    }

    Invocation run(OutputStream out, String... args) {
      ByteArrayOutputStream err = new ByteArrayOutputStream();
      Host host =
          new Host(
              new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)),
              new Results(out),
              new PrintStream(err, true, StandardCharsets.UTF_8),
              interactive,
              environment,
              home);
      int code = Nibble.run(host, args);
      return new Invocation(
          code,
          out instanceof ByteArrayOutputStream bytes ? bytes.toString(StandardCharsets.UTF_8) : "",
          err.toString(StandardCharsets.UTF_8));
    }
  }
}
