package dev.nibble.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class CudaExampleTest {
  /** What the README shows is compiled, and run by {@link CudaExampleGpuTest}. */
  @Test
  void theReadmeShowsTheExample() throws IOException {
    Path root = Path.of(System.getProperty("project.root"));
    String source =
        Files.readString(root.resolve("runtime/src/test/java/dev/nibble/runtime/CudaExample.java"));
    String[] parts = source.split(" *// README\n", -1);
    assertEquals(3, parts.length);
    String readme = Files.readString(root.resolve("README.md"));
    String example = parts[1].stripTrailing().stripIndent();
    assertTrue(readme.contains(example), example);
  }
}
