package dev.nibble.runtime.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.nibble.bindings.kernels.attention_decode_h;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The C header and the launcher give a block the same shared memory. */
class DecodeAttentionHeaderTest {
  @Test
  void headerHasTheBytesOfTheLauncher(@TempDir Path folder) throws Exception {
    int most = attention_decode_h.ATTENTION_DECODE_QUERIES();
    List<String> questions = new ArrayList<>();
    List<Long> expected = new ArrayList<>();
    for (int queries = 1; queries <= 3 * most; queries++) {
      questions.add(String.valueOf(Math.min(queries, most)));
      expected.add((long) DecodeAttention.sharedBytes(queries));
    }
    assertEquals(
        expected,
        HeaderProgram.evaluate(
            folder,
            "attention_decode.h",
            List.of("queries"),
            "attention_decode_shared_bytes(queries)",
            questions));
  }
}
