package dev.nibble.runtime.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.nibble.quantizer.format.PackedLayout;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The C header and the Java class state one layout. */
class PackedLayoutHeaderTest {
  private static final Path HEADER =
      Path.of(System.getProperty("project.root"), "native", "include", "packed_layout.h");
  private static final int[][] SHAPES = {
    {1, 1}, {7, 33}, {31, 127}, {33, 129}, {64, 512}, {65, 513}, {127, 640}, {129, 1025}
  };
  private static final int[] WIDTHS = {2, 3, 4, 6, 8};
  private static final int[] GROUPS = {0, 32, 64, 128};

  /** Packs codes of a linear congruential generator, and prints every scale's place. */
  private static final String PROGRAM =
      """
      #include "packed_layout.h"
      #include <stdio.h>
      #include <stdlib.h>
      int main(void) {
        static const int shapes[][2] = {SHAPES};
        static const int widths[] = {WIDTHS};
        static const int groups[] = {GROUPS};
        uint32_t seed = 1;
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
          int rows = shapes[s][0], columns = shapes[s][1];
          for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
            int bits = widths[w];
            int64_t bytes = nibble_qweight_bytes(bits, rows, columns);
            uint8_t* qweight = calloc((size_t)bytes, 1);
            uint8_t* read = malloc((size_t)rows * (size_t)columns);
            for (int r = 0; r < rows; r++) {
              for (int c = 0; c < columns; c++) {
                seed = seed * 1664525u + 1013904223u;
                nibble_put_code(qweight, bits, columns, r, c, (int)(seed >> 24) & ((1 << bits) - 1));
              }
            }
            for (int r = 0; r < rows; r++) {
              for (int c = 0; c < columns; c++) {
                read[r * columns + c] = (uint8_t)nibble_code(qweight, bits, columns, r, c);
              }
            }
            fwrite(qweight, 1, (size_t)bytes, stdout);
            fwrite(read, 1, (size_t)rows * (size_t)columns, stdout);
            free(qweight);
            free(read);
          }
          for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
            int group = groups[i];
            int64_t count = nibble_scale_count(rows, columns, group);
            int64_t per_row = group == 0 ? 1 : nibble_padded_columns(columns) / group;
            fwrite(&count, sizeof count, 1, stdout);
            for (int64_t r = 0; r < nibble_padded_rows(rows); r++) {
              for (int64_t g = 0; g < per_row; g++) {
                int64_t index = nibble_scale_index(columns, group, r, g);
                fwrite(&index, sizeof index, 1, stdout);
              }
            }
          }
        }
        return 0;
      }
      """;

  @Test
  void headerHasTheConstantsOfTheClass() throws IOException {
    Map<String, Integer> expected = new TreeMap<>();
    expected.put("NIBBLE_ROW_BLOCK", PackedLayout.ROW_BLOCK);
    expected.put("NIBBLE_COLUMN_BLOCK", PackedLayout.COLUMN_BLOCK);
    expected.put("NIBBLE_COLUMN_UNIT", PackedLayout.COLUMN_UNIT);
    expected.put("NIBBLE_SUBTILE_ROWS", PackedLayout.SUBTILE_ROWS);
    expected.put("NIBBLE_STEP_COLUMNS", PackedLayout.STEP_COLUMNS);
    expected.put("NIBBLE_LANES", PackedLayout.LANES);
    expected.put("NIBBLE_LANE_BYTES", PackedLayout.LANE_BYTES);
    expected.put("NIBBLE_CHUNK_BYTES", PackedLayout.CHUNK_BYTES);
    Map<String, Integer> found = new TreeMap<>();
    Matcher define =
        Pattern.compile("(?m)^#define (NIBBLE_\\w+) (\\d+)\\b").matcher(Files.readString(HEADER));
    while (define.find()) {
      found.put(define.group(1), Integer.valueOf(define.group(2)));
    }
    assertEquals(expected, found);
  }

  @Test
  void headerPacksTheBytesOfTheClass(@TempDir Path folder) throws Exception {
    String source =
        PROGRAM
            .replace("SHAPES", initializer(SHAPES))
            .replace("WIDTHS", initializer(new int[][] {WIDTHS}))
            .replace("GROUPS", initializer(new int[][] {GROUPS}));
    assertArrayEquals(expected(), HeaderProgram.compile(folder, source).output(List.of()));
  }

  private static byte[] expected() {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    int seed = 1;
    for (int[] shape : SHAPES) {
      for (int bits : WIDTHS) {
        PackedLayout layout = new PackedLayout(bits, shape[0], shape[1], 0);
        byte[] codes = new byte[shape[0] * shape[1]];
        for (int i = 0; i < codes.length; i++) {
          seed = seed * 1664525 + 1013904223;
          codes[i] = (byte) ((seed >>> 24) & ((1 << bits) - 1));
        }
        byte[] qweight = new byte[(int) layout.qweightBytes()];
        layout.pack(codes, MemorySegment.ofArray(qweight));
        out.writeBytes(qweight);
        out.writeBytes(codes);
      }
      for (int group : GROUPS) {
        PackedLayout layout = new PackedLayout(8, shape[0], shape[1], group);
        int groups = group == 0 ? 1 : layout.paddedColumns() / group;
        ByteBuffer indices =
            ByteBuffer.allocate(8 * (1 + layout.paddedRows() * groups))
                .order(ByteOrder.nativeOrder())
                .putLong(layout.scaleCount());
        for (int r = 0; r < layout.paddedRows(); r++) {
          for (int g = 0; g < groups; g++) {
            indices.putLong(layout.scaleIndex(r, g));
          }
        }
        out.writeBytes(indices.array());
      }
    }
    return out.toByteArray();
  }

  private static String initializer(int[][] rows) {
    StringBuilder text = new StringBuilder();
    for (int[] row : rows) {
      String numbers = Arrays.toString(row).replace("[", "").replace("]", "");
      text.append(rows.length == 1 ? numbers : "{" + numbers + "}, ");
    }
    return text.toString();
  }
}
