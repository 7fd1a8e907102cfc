package dev.nibble.bench.suite;

import dev.nibble.bench.SourceTree;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A program of ours in a JVM of its own, with this one's class path and project folder. */
final class ChildJvm {
  private static final List<String> FLAGS =
      List.of(
          "--add-modules=jdk.incubator.vector",
          "--enable-native-access=ALL-UNNAMED",
          "--sun-misc-unsafe-memory-access=allow",
          "-XX:+UseSerialGC");

  private ChildJvm() {}

  /**
   * What a program left.
   *
   * @param exitCode its exit code
   * @param output its standard output
   * @param errors its standard error
   */
  record Outcome(int exitCode, String output, String errors) {
    /** The last thing it complained of, without where in the code that was. */
    String complaint() {
      return errors
          .lines()
          .filter(line -> !line.isBlank() && !line.startsWith("\t"))
          .reduce((a, b) -> b)
          .orElse("");
    }
  }

  /**
   * Runs one to its end.
   *
   * @param flags of its JVM, beside those every program of ours needs
   * @param mainClass the program
   * @param arguments of it
   */
  static Outcome run(List<String> flags, String mainClass, List<String> arguments)
      throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(FLAGS);
    command.addAll(flags);
    SourceTree.find().ifPresent(root -> command.add("-Dproject.root=" + root));
    command.add("-cp");
    command.add(System.getProperty("java.class.path"));
    command.add(mainClass);
    command.addAll(arguments);
    Path errors = Files.createTempFile("nibble-bench", ".err");
    try {
      Process process = new ProcessBuilder(command).redirectError(errors.toFile()).start();
      try {
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Outcome(process.waitFor(), output, Files.readString(errors));
      } catch (InterruptedException e) {
        process.destroy();
        Thread.currentThread().interrupt();
        throw new IOException(mainClass + ": interrupted", e);
      }
    } finally {
      Files.delete(errors);
    }
  }
}
