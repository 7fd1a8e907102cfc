package dev.nibble.bindings;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The committed output is what the committed lists ask for, no less and no more. */
class SymbolListsTest {
  private static final Path BINDINGS = Path.of(System.getProperty("project.root"), "bindings");
  private static final Path CUDA = BINDINGS.resolve("src/generated/java/dev/nibble/bindings/cuda");

  private static Set<String> listed(String list, String kinds) throws IOException {
    Pattern line = Pattern.compile("--include-(?:" + kinds + ") (\\w+)");
    try (Stream<String> lines = Files.lines(BINDINGS.resolve("symbols").resolve(list))) {
      return lines
          .map(line::matcher)
          .filter(match -> match.matches())
          .map(match -> match.group(1))
          .collect(Collectors.toCollection(TreeSet::new));
    }
  }

  private static Set<String> found(Path source, String pattern) throws IOException {
    return Pattern.compile(pattern)
        .matcher(Files.readString(source))
        .results()
        .map((MatchResult match) -> match.group(1))
        .collect(Collectors.toCollection(TreeSet::new));
  }

  @Test
  void functions() throws IOException {
    assertEquals(
        listed("cuda.txt", "function"),
        found(CUDA.resolve("cuda_h.java"), "public static \\w+ (cu\\w+)\\("));
  }

  @Test
  void constants() throws IOException {
    assertEquals(
        listed("cuda_constants.txt", "constant"),
        found(CUDA.resolve("cuda_constants.java"), "public static int (CU\\w+)\\(\\)"));
  }

  @Test
  void structs() throws IOException {
    Set<String> classes;
    try (Stream<Path> files = Files.list(CUDA)) {
      classes =
          files
              .map(file -> file.getFileName().toString().replace(".java", ""))
              .filter(name -> name.startsWith("CU"))
              .collect(Collectors.toCollection(TreeSet::new));
    }
    assertEquals(listed("cuda.txt", "struct|union|typedef"), classes);
  }

  @Test
  void theRecordedVersionIsTheConstants() throws IOException {
    int version =
        Integer.parseInt(
            found(CUDA.resolve("cuda_constants.java"), "#define CUDA_VERSION (\\d+)")
                .iterator()
                .next());
    assertEquals(
        Set.of(version / 1000 + "." + version % 1000 / 10),
        found(BINDINGS.resolve("GENERATED.json"), "\"cuda\": \"([^\"]*)\""));
  }
}
