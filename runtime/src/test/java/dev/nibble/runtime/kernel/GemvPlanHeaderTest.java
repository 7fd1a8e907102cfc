package dev.nibble.runtime.kernel;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;

import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.runtime.kernel.PackedGemv.Result;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The C header and the launcher plan the same launches. */
class GemvPlanHeaderTest {
  private static final Path INCLUDE =
      Path.of(System.getProperty("project.root"), "native", "include");

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
        int bits, rows, columns, group, tokens, epilogue, multiprocessors, limit;
        while (scanf("%d%d%d%d%d%d%d%d", &bits, &rows, &columns, &group, &tokens, &epilogue,
                     &multiprocessors, &limit) == 8) {
          int64_t padded = nibble_padded_rows(rows);
          int64_t tiles = gemv_block_tiles(bits, padded, epilogue, multiprocessors);
          int64_t fixed = gemv_fixed_bytes(columns, group, tokens, tiles, nibble_tile_rows(bits));
          int warps = 0;
          int stages = gemv_plan(bits, group, columns, tiles, fixed, limit, epilogue, &warps);
          int64_t bytes = stages == 0 ? fixed
                                      : gemv_shared_bytes(bits, group, warps, stages, fixed, limit,
                                                          epilogue);
          printf("%d %d %d %d %d %d: grid %d, warps %d, stages %d, bytes %ld\\n", bits, rows, columns,
                 group, tokens, epilogue,
                 (int)gemv_grid(bits, padded, epilogue, multiprocessors), warps, stages,
                 (long)bytes);
        }
        return 0;
      }
      """;

  @Test
  void headerPlansAsTheLauncher(@TempDir Path folder) throws Exception {
    Path program = compile(folder);
    List<String> questions = new ArrayList<>();
    List<String> expected = new ArrayList<>();
    for (int[] device : DEVICES) {
      for (int[] shape : SHAPES) {
        for (int bits : WIDTHS) {
          for (int group : GROUPS) {
            for (int tokens = 1; tokens <= PackedGemv.MAX_TOKENS; tokens *= 2) {
              for (Result result : Result.values()) {
                if (result == Result.SWIGLU_HALF && shape[0] % 128 != 0) {
                  continue;
                }
                PackedLayout layout = new PackedLayout(bits, shape[0], shape[1], group);
                String product =
                    String.format(
                        Locale.ROOT,
                        "%d %d %d %d %d %d",
                        bits,
                        shape[0],
                        shape[1],
                        group,
                        tokens,
                        PackedGemv.epilogue(result));
                GemvPlan plan = GemvPlan.of(layout, tokens, result, device[0], device[1]);
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
      }
    }
    assertEquals(expected, answers(program, folder, questions));
  }

  private static List<String> answers(Path program, Path folder, List<String> questions)
      throws IOException, InterruptedException {
    Path input = Files.write(folder.resolve("questions"), questions);
    Path output = folder.resolve("answers");
    Process run =
        new ProcessBuilder(program.toString())
            .redirectInput(input.toFile())
            .redirectOutput(output.toFile())
            .start();
    assertTrue(run.waitFor(1, TimeUnit.MINUTES));
    assertEquals(0, run.exitValue());
    return Files.readAllLines(output);
  }

  private static Path compile(Path folder) throws IOException, InterruptedException {
    Path source = Files.writeString(folder.resolve("plan.c"), PROGRAM);
    Path program = folder.resolve("plan");
    Process compiler;
    try {
      compiler =
          new ProcessBuilder(
                  "cc",
                  "-std=c99",
                  "-Wall",
                  "-Wextra",
                  "-Werror",
                  "-pedantic",
                  "-O1",
                  "-I",
                  INCLUDE.toString(),
                  "-o",
                  program.toString(),
                  source.toString())
              .redirectErrorStream(true)
              .start();
    } catch (IOException e) {
      return abort("no C compiler (cc) on PATH: gemv.h was not compiled");
    }
    String messages = new String(compiler.getInputStream().readAllBytes(), UTF_8);
    assertEquals(0, compiler.waitFor(), messages);
    return program;
  }
}
