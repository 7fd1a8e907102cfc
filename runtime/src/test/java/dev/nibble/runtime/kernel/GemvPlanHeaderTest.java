package dev.nibble.runtime.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.runtime.kernel.GemvPlan.Input;
import dev.nibble.runtime.kernel.PackedGemv.Result;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The C header and the launcher plan the same launches. */
class GemvPlanHeaderTest {
  /** An H200's, an A100's and an RTX 4090's multiprocessors and shared bytes of a block. */
  private static final int[][] DEVICES = {{132, 232_448}, {108, 166_912}, {128, 101_376}};

  /** Ugly ones, then q k v, o, gate and up, and down of models of 7, 13 and 70 billion. */
  private static final int[][] SHAPES = {
    {1, 1},
    {65, 129},
    {130, 1000},
    {704, 256},
    {2112, 513},
    {12288, 4096},
    {4096, 4096},
    {22016, 4096},
    {4096, 11008},
    {15360, 5120},
    {5120, 5120},
    {27648, 5120},
    {5120, 13824},
    {10240, 8192},
    {57344, 8192},
    {8192, 28672},
    {128256, 8192}
  };

  private static final int[] WIDTHS = {2, 3, 4, 6, 8};
  private static final int[] GROUPS = {0, 32, 64, 128};

  private static final String PROGRAM =
      """
      #include "gemv.h"
      #include <stdio.h>
      int main(void) {
        int bits, rows, columns, group, tokens, normed, epilogue, multiprocessors, limit;
        while (scanf("%d%d%d%d%d%d%d%d%d", &bits, &rows, &columns, &group, &tokens, &normed,
                     &epilogue, &multiprocessors, &limit) == 9) {
          int64_t padded = nibble_padded_rows(rows);
          int64_t tiles = gemv_block_tiles(bits, padded, epilogue, multiprocessors);
          int64_t fixed = gemv_fixed_bytes(columns, group, tokens, tiles, nibble_tile_rows(bits));
          int warps = 0;
          int stages = gemv_plan(bits, group, columns, tiles, fixed, limit, epilogue, normed,
                                 &warps);
          int64_t bytes = stages == 0 ? fixed
                                      : gemv_shared_bytes(bits, group, warps, stages, fixed, limit,
                                                          epilogue);
          printf("%d %d %d %d %d %d %d: grid %d, warps %d, stages %d, bytes %ld\\n", bits, rows,
                 columns, group, tokens, normed, epilogue,
                 (int)gemv_grid(bits, padded, epilogue, multiprocessors), warps, stages,
                 (long)bytes);
        }
        return 0;
      }
      """;

  private final List<String> questions = new ArrayList<>();
  private final List<String> expected = new ArrayList<>();

  @Test
  void headerPlansAsTheLauncher(@TempDir Path folder) throws Exception {
    for (int[] shape : SHAPES) {
      for (int bits : WIDTHS) {
        for (int group : GROUPS) {
          PackedLayout layout = new PackedLayout(bits, shape[0], shape[1], group);
          for (int tokens = 1; tokens <= PackedGemv.MAX_TOKENS; tokens *= 2) {
            for (Result result : Result.values()) {
              if (result != Result.SWIGLU_HALF || shape[0] % 128 == 0) {
                ask(layout, tokens, result);
              }
            }
          }
        }
      }
    }
    assertEquals(expected, HeaderProgram.compile(folder, PROGRAM).answers(questions));
  }

  private void ask(PackedLayout layout, int tokens, Result result) {
    for (Input input : Input.values()) {
      String product =
          String.format(
              Locale.ROOT,
              "%d %d %d %d %d %d %d",
              layout.bits(),
              layout.rows(),
              layout.columns(),
              layout.groupSize(),
              tokens,
              input == Input.NORMED ? 1 : 0,
              PackedGemv.epilogue(result));
      for (int[] device : DEVICES) {
        GemvPlan plan = GemvPlan.of(layout, tokens, input, result, device[0], device[1]);
        questions.add(product + " " + device[0] + " " + device[1]);
        expected.add(
            String.format(
                Locale.ROOT,
                "%s: grid %d, warps %d, stages %d, bytes %d",
                product,
                plan.grid(),
                plan.warps(),
                plan.stages(),
                plan.sharedBytes()));
      }
    }
  }
}
