package dev.nibble.runtime.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The C header and the Java record state one layout. */
class KvLayoutHeaderTest {
  private static final String PROGRAM =
      """
      #include "kv_cache.h"
      #include <stdio.h>
      int main(void) {
        int bits, capacity, kv_heads, head_dim;
        while (scanf("%d%d%d%d", &bits, &capacity, &kv_heads, &head_dim) == 4) {
          printf("%d %lld %lld\\n", kv_row_bytes(bits, head_dim),
                 (long long)kv_values_offset(bits, capacity, kv_heads, head_dim),
                 (long long)kv_region_bytes(bits, capacity, kv_heads, head_dim));
        }
        return 0;
      }
      """;

  @Test
  void headerHasTheOffsetsOfTheRecord(@TempDir Path folder) throws Exception {
    List<String> questions = new ArrayList<>();
    List<String> expected = new ArrayList<>();
    for (int bits : new int[] {16, 8, 4, 3}) {
      for (int positions : new int[] {1, 16, 17, 513, 131_072, 1_048_576}) {
        for (int kvHeads : new int[] {1, 3, 8, 40}) {
          for (int headDim = 16; headDim <= 128; headDim += 16) {
            KvLayout layout = KvLayout.of(bits, positions, kvHeads, headDim);
            questions.add(bits + " " + layout.capacity() + " " + kvHeads + " " + headDim);
            expected.add(
                layout.rowBytes() + " " + layout.valuesOffset() + " " + layout.regionBytes());
          }
        }
      }
    }
    assertEquals(expected, HeaderProgram.compile(folder, PROGRAM).answers(questions));
  }
}
