package dev.nibble.runtime.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The C header and the launcher give tiles the same room. */
class InputTilerHeaderTest {
  @Test
  void headerHasTheBytesOfTheLauncher(@TempDir Path folder) throws Exception {
    List<String> questions = new ArrayList<>();
    List<Long> expected = new ArrayList<>();
    for (int tokens : new int[] {1, 7, 8, 9, 64, 65, 2048}) {
      for (int columns : new int[] {1, 127, 128, 129, 513, 4096, 28_672}) {
        questions.add(tokens + " " + columns + " 2");
        expected.add(InputTiler.bytes(InputTiler.Kind.HALVES, tokens, columns));
        questions.add(tokens + " " + columns + " 2");
        expected.add(InputTiler.bytes(InputTiler.Kind.CODES_TO_HALVES, tokens, columns));
        questions.add(tokens + " " + columns + " 1");
        expected.add(InputTiler.bytes(InputTiler.Kind.CODES, tokens, columns));
      }
    }
    assertEquals(
        expected,
        HeaderProgram.evaluate(
            folder,
            "gemm_tile.h",
            List.of("tokens", "columns", "element_bytes"),
            "nibble_tiled_bytes(tokens, columns, element_bytes)",
            questions));
  }
}
