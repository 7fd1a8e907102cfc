package dev.nibble.runtime.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.nibble.quantizer.format.PackedLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The C header and the launcher plan the same launches. */
class SkinnyPlanHeaderTest {
  /** An H200, an A100 and an RTX 4090; and what the last two would do with warpgroups. */
  private static final List<SkinnyPlan.Target> TARGETS =
      List.of(
          new SkinnyPlan.Target(true, 132, 232_448),
          new SkinnyPlan.Target(false, 108, 166_912),
          new SkinnyPlan.Target(false, 128, 101_376),
          new SkinnyPlan.Target(true, 108, 166_912),
          new SkinnyPlan.Target(true, 128, 101_376));

  /** Ugly ones, then linears of models of 7, 13 and 70 billion. */
  private static final int[][] SHAPES = {
    {1, 1},
    {65, 129},
    {130, 1000},
    {704, 256},
    {2112, 513},
    {4096, 4096},
    {22016, 4096},
    {4096, 11008},
    {5120, 13824},
    {8192, 28672},
    {128_256, 8192}
  };

  private static final int[] WIDTHS = {2, 3, 4, 6, 8};
  private static final int[] GROUPS = {0, 32, 64, 128};
  private static final int[] TOKENS = {1, 2, 7, 8, 9, 16, 17, 32, 33, 63, 64};

  private static final String PROGRAM =
      """
      #include "skinny.h"
      #include <stdio.h>
      int main(void) {
        int wgmma, multiprocessors, limit, bits, rows, columns, group, a16, tokens, swiglu;
        while (scanf("%d%d%d%d%d%d%d%d%d%d", &wgmma, &multiprocessors, &limit, &bits, &rows,
                     &columns, &group, &a16, &tokens, &swiglu) == 10) {
          int64_t padded = nibble_padded_rows(rows);
          int wanted = a16 ? 2 * tokens : tokens;
          int n = 16, x_stages = 0, rings = 0, weight_stages = 0;
          int64_t grid, threads, bytes;
          while (n < wanted) n *= 2;
          if (wgmma && (group == 0 || group == 128)) {
            x_stages = skinny_wgmma_plan(bits, n, a16, columns, limit, &rings, &weight_stages);
          }
          if (weight_stages > 0) {
            int64_t items = skinny_items(padded, swiglu ? GEMV_SWIGLU_F16 : GEMV_STORE_F16);
            int64_t most = multiprocessors / SKINNY_CHAINS;
            grid = SKINNY_CHAINS * (items < most ? items : most);
            threads = SKINNY_WGMMA_THREADS(n, a16);
            bytes = skinny_wgmma_shared_bytes(bits, n, x_stages, rings, weight_stages);
          } else {
            x_stages = rings = 0;
            if (n < 32) n = 32;
            grid = padded / SKINNY_ROWS / (swiglu ? 2 : 1);
            threads = SKINNY_THREADS;
            bytes = a16 ? skinny_a16_shared_bytes(bits, n) : skinny_a8_shared_bytes(bits, n);
            if (bytes > limit) bytes = skinny_a8_shared_bytes(bits, n);
          }
          printf("skinny_w%d%s_%sn%d %lld %lld %lld %d %d %d\\n", bits, a16 ? "a16" : "a8",
                 weight_stages > 0 ? "wgmma_" : "", n, (long long)grid, (long long)threads,
                 (long long)bytes, x_stages, rings, weight_stages);
        }
        return 0;
      }
      """;

  @Test
  void headerPlansAsTheLauncher(@TempDir Path folder) throws Exception {
    List<String> questions = new ArrayList<>();
    List<String> expected = new ArrayList<>();
    for (SkinnyPlan.Target target : TARGETS) {
      for (int[] shape : SHAPES) {
        for (int bits : WIDTHS) {
          for (int group : GROUPS) {
            PackedLayout layout = new PackedLayout(bits, shape[0], shape[1], group);
            for (SkinnyPlan.Input input : SkinnyPlan.Input.values()) {
              for (int tokens : TOKENS) {
                for (boolean swiglu : new boolean[] {false, true}) {
                  if (swiglu && shape[0] % 128 != 0) {
                    continue;
                  }
                  questions.add(question(target, layout, input, tokens, swiglu));
                  SkinnyPlan plan = SkinnyPlan.of(target, layout, input, tokens, swiglu);
                  expected.add(
                      plan.kernel()
                          + " "
                          + plan.grid()
                          + " "
                          + plan.threads()
                          + " "
                          + plan.sharedBytes()
                          + " "
                          + plan.xStages()
                          + " "
                          + plan.rings()
                          + " "
                          + plan.weightStages());
                }
              }
            }
          }
        }
      }
    }
    assertEquals(expected, HeaderProgram.compile(folder, PROGRAM).answers(questions));
  }

  private static String question(
      SkinnyPlan.Target target,
      PackedLayout layout,
      SkinnyPlan.Input input,
      int tokens,
      boolean swiglu) {
    List<Integer> numbers =
        List.of(
            target.wgmma() ? 1 : 0,
            target.multiprocessors(),
            target.mostShared(),
            layout.bits(),
            layout.rows(),
            layout.columns(),
            layout.groupSize(),
            input == SkinnyPlan.Input.PARTS ? 1 : 0,
            tokens,
            swiglu ? 1 : 0);
    return String.join(" ", numbers.stream().map(String::valueOf).toList());
  }

  /** What sums on their way take, for the input that takes more. */
  @Test
  void headerCountsTheScratchOfTheLauncher(@TempDir Path folder) throws Exception {
    List<String> questions = new ArrayList<>();
    List<String> expected = new ArrayList<>();
    for (int[] shape : SHAPES) {
      for (int tokens : TOKENS) {
        int rows = new PackedLayout(4, shape[0], shape[1], 0).paddedRows();
        questions.add(rows + " " + tokens);
        expected.add(String.valueOf(SkinnyGemm.chainBytes(tokens, rows)));
      }
    }
    String program =
        """
        #include "skinny.h"
        #include <stdio.h>
        int main(void) {
          int rows, tokens;
          while (scanf("%d%d", &rows, &tokens) == 2) {
            int parts = 16, codes = 16;
            int64_t of_parts, of_codes;
            while (parts < 2 * tokens) parts *= 2;
            while (codes < tokens) codes *= 2;
            of_parts = skinny_chain_bytes(rows, parts, 1);
            of_codes = skinny_chain_bytes(rows, codes, 0);
            printf("%lld\\n", (long long)(of_parts > of_codes ? of_parts : of_codes));
          }
          return 0;
        }
        """;
    assertEquals(expected, HeaderProgram.compile(folder, program).answers(questions));
  }
}
