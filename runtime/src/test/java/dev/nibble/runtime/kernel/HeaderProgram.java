package dev.nibble.runtime.kernel;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A C program that includes the kernels' headers, and tells what they say. */
final class HeaderProgram {
  private static final Path INCLUDE =
      Path.of(System.getProperty("project.root"), "native", "include");

  private final Path program;

  private HeaderProgram(Path program) {
    this.program = program;
  }

  /**
   * Compiles a program; without a C compiler the test is aborted.
   *
   * @param folder an empty one
   * @param source C11
   */
  static HeaderProgram compile(Path folder, String source)
      throws IOException, InterruptedException {
    Path file = Files.writeString(folder.resolve("program.c"), source);
    Path program = folder.resolve("program");
    List<String> command =
        List.of(
            "cc",
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pedantic",
            "-O1",
            "-I",
            INCLUDE.toString(),
            "-o",
            program.toString(),
            file.toString());
    Process compiler;
    try {
      compiler = new ProcessBuilder(command).redirectErrorStream(true).start();
    } catch (IOException e) {
      return abort("no C compiler (cc) on PATH: the headers were not compiled");
    }
    String messages = new String(compiler.getInputStream().readAllBytes(), UTF_8);
    assertEquals(0, compiler.waitFor(), messages);
    return new HeaderProgram(program);
  }

  /**
   * Compiles a program that answers each line of numbers with one number, and asks it.
   *
   * @param folder an empty one
   * @param header its name
   * @param names of the numbers of a line, each an int
   * @param answer a C expression of them
   * @param questions lines
   * @return the answers
   */
  static List<Long> evaluate(
      Path folder, String header, List<String> names, String answer, List<String> questions)
      throws IOException, InterruptedException {
    String source =
        """
        #include "%s"
        #include <stdio.h>
        int main(void) {
          int %s;
          while (scanf("%s", &%s) == %d) printf("%%lld\\n", (long long)(%s));
          return 0;
        }
        """
            .formatted(
                header,
                String.join(", ", names),
                "%d".repeat(names.size()),
                String.join(", &", names),
                names.size(),
                answer);
    return compile(folder, source).answers(questions).stream().map(Long::valueOf).toList();
  }

  /** What it prints when it reads these lines. */
  List<String> answers(List<String> questions) throws IOException, InterruptedException {
    return new String(output(questions), UTF_8).lines().toList();
  }

  /** What it writes when it reads these lines. */
  byte[] output(List<String> questions) throws IOException, InterruptedException {
    Path input = Files.write(program.resolveSibling("questions"), questions);
    Path output = program.resolveSibling("answers");
    Process run =
        new ProcessBuilder(program.toString())
            .redirectInput(input.toFile())
            .redirectOutput(output.toFile())
            .start();
    assertTrue(run.waitFor(1, TimeUnit.MINUTES));
    assertEquals(0, run.exitValue());
    return Files.readAllBytes(output);
  }
}
