package dev.nibble.runtime.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The C header and the launcher give a block the same shared memory. */
class DenseGemvHeaderTest {
  @Test
  void headerHasTheBytesOfTheLauncher(@TempDir Path folder) throws Exception {
    List<String> questions = new ArrayList<>();
    List<Long> expected = new ArrayList<>();
    for (int columns : new int[] {1, 255, 256, 257, 4096, 12_288, 28_672}) {
      for (int width = 8; width <= DenseGemv.MAX_TOKENS; width *= 2) {
        for (int tokens = 1; tokens <= width; tokens++) {
          questions.add(columns + " " + tokens + " " + width);
          expected.add((long) DenseGemv.sharedBytes(columns, tokens, width));
        }
      }
    }
    assertEquals(
        expected,
        HeaderProgram.evaluate(
            folder,
            "dense_gemv.h",
            List.of("columns", "tokens", "width"),
            "dense_gemv_shared_bytes(columns, tokens, width)",
            questions));
  }
}
