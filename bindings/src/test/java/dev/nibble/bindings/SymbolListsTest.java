package dev.nibble.bindings;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The committed output is what the committed lists ask for, no less and no more. */
class SymbolListsTest {
  private static final Path BINDINGS = Path.of(System.getProperty("project.root"), "bindings");
  private static final Path GENERATED = BINDINGS.resolve("src/generated/java/dev/nibble/bindings");
  private static final Path CUDA = GENERATED.resolve("cuda");
  private static final Path KERNELS = GENERATED.resolve("kernels");

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

  @ParameterizedTest
  @ValueSource(strings = {"cuda", "nvml", "cublaslt"})
  void libraries(String name) throws IOException {
    Path output = GENERATED.resolve(name);
    assertEquals(
        listed(name + ".txt", "function"),
        found(output.resolve(name + "_h.java"), "public static \\w+ ((?:cu|nvml)\\w+)\\("));
    assertEquals(
        listed(name + "_constants.txt", "constant"),
        found(output.resolve(name + "_constants.java"), "public static int ([A-Z]\\w+)\\(\\)"));
    Set<String> structs;
    try (Stream<Path> files = Files.list(output)) {
      structs =
          files
              .map(file -> file.getFileName().toString().replace(".java", ""))
              .filter(file -> !file.startsWith(name + "_"))
              .collect(Collectors.toCollection(TreeSet::new));
    }
    assertEquals(listed(name + ".txt", "struct|union|typedef"), structs);
  }

  /** What a kernel's header says now is what the output was made from. */
  @Test
  void kernelHeaders() throws IOException {
    try (DirectoryStream<Path> lists =
        Files.newDirectoryStream(BINDINGS.resolve("symbols/kernels"), "*.txt")) {
      for (Path list : lists) {
        String name = list.getFileName().toString().replace(".txt", "");
        Path header = BINDINGS.resolveSibling("native/include").resolve(name + ".h");
        for (String constant : listed("kernels/" + name + ".txt", "constant")) {
          String definition = "#define " + constant + " \\(?(-?\\d+)";
          Set<String> value = found(header, definition);
          assertEquals(1, value.size(), () -> header + ": " + constant);
          assertEquals(value, found(KERNELS.resolve(name + "_h.java"), definition), constant);
        }
        for (String struct : listed("kernels/" + name + ".txt", "struct")) {
          assertEquals(
              fields(defining(struct), struct),
              fields(KERNELS.resolve(struct + ".java"), struct),
              struct);
        }
      }
    }
  }

  /** The header that defines a struct: the kernel's own, or one that it includes. */
  private static Path defining(String struct) throws IOException {
    try (DirectoryStream<Path> headers =
        Files.newDirectoryStream(BINDINGS.resolveSibling("native/include"), "*.h")) {
      for (Path header : headers) {
        if (Files.readString(header).contains("struct " + struct + " {\n")) {
          return header;
        }
      }
    }
    throw new AssertionError("no header defines struct " + struct);
  }

  /** A struct's fields as text, in order. */
  private static List<String> fields(Path source, String struct) throws IOException {
    String text = Files.readString(source).replaceAll("(?m)^ \\* ", "");
    int start = text.indexOf("struct " + struct + " {\n");
    assertTrue(start >= 0, () -> source + ": no struct " + struct);
    return text.substring(start, text.indexOf("}", start))
        .lines()
        .skip(1)
        .map(line -> line.replaceAll("//.*", "").replaceAll("\\s*\\*\\s*", "* ").strip())
        .filter(line -> !line.isEmpty())
        .toList();
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
