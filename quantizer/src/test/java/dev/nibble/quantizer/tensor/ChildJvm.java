package dev.nibble.quantizer.tensor;

import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.TimeUnit;

/** Runs a class of these tests in a JVM of its own, on the class path. */
final class ChildJvm {
  record Result(int exit, String out, String err) {}

  private ChildJvm() {}

  static Result run(List<String> flags, Class<?> main)
      throws IOException, InterruptedException, URISyntaxException {
    Path out = Files.createTempFile("child", ".out");
    Path err = Files.createTempFile("child", ".err");
    try {
      List<String> command = new ArrayList<>();
      command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
      command.addAll(List.of("-Xmx512m", "-cp", classPath()));
      command.addAll(flags);
      command.add(main.getName());
      Process process =
          new ProcessBuilder(command)
              .redirectOutput(out.toFile())
              .redirectError(err.toFile())
              .start();
      try {
        if (!process.waitFor(120, TimeUnit.SECONDS)) {
          throw new IllegalStateException(main + " has not ended after 120 s");
        }
      } finally {
        process.destroyForcibly();
      }
      return new Result(
          process.exitValue(),
          Files.readString(out, StandardCharsets.UTF_8),
          Files.readString(err, StandardCharsets.UTF_8));
    } finally {
      Files.delete(out);
      Files.delete(err);
    }
  }

  /** Whatever these tests run on, module path included, and the folder of the test classes. */
  private static String classPath() throws URISyntaxException {
    URI self = Objects.requireNonNull(ChildJvm.class.getResource("ChildJvm.class")).toURI();
    int depth = ChildJvm.class.getPackageName().split("\\.", -1).length;
    Path tests = Path.of(self).getParent();
    for (int i = 0; i < depth; i++) {
      tests = tests.getParent();
    }
    return String.join(
        File.pathSeparator,
        tests.toString(),
        System.getProperty("jdk.module.path", ""),
        System.getProperty("java.class.path", ""));
  }
}
