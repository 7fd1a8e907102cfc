package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.gemv_h;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.runtime.kernel.PackedGemv.Result;

/**
 * How a gemv kernel is launched, by the rule of gemv.h.
 *
 * @param kernel its name
 * @param grid blocks
 * @param warps of a block
 * @param stages of each warp's ring; 0 if another kernel must do the product
 * @param sharedBytes of a block
 */
record GemvPlan(String kernel, int grid, int warps, int stages, long sharedBytes) {
  /** What a product reads. */
  enum Input {
    /** Rows as they are. */
    ROWS,
    /** Rows that it norms itself, as a layer's first products do. */
    NORMED
  }

  private static final int BARRIER_BYTES = 8;
  private static final int RUN_OF_CHANNELS = 128;

  /**
   * The launch of a product.
   *
   * @param layout of the weights of all parts
   * @param tokens at least 1
   * @param input what it reads
   * @param result what becomes of it
   * @param multiprocessors of the device
   * @param mostShared bytes that a block may have
   * @return the plan
   */
  static GemvPlan of(
      PackedLayout layout,
      int tokens,
      Input input,
      Result result,
      int multiprocessors,
      long mostShared) {
    int bits = layout.bits();
    int group = layout.groupSize();
    int run = group == 0 ? RUN_OF_CHANNELS : group;
    int most = Math.max(Integer.highestOneBit(Math.max(1, 2 * tokens - 1)), 1);
    int pair = result == Result.SWIGLU_HALF ? 2 : 1;
    long items = (long) layout.paddedRows() / layout.tileRows() / pair;
    int grid = (int) Math.min(items, multiprocessors);
    long blocks = Math.ceilDiv(layout.columns(), PackedLayout.COLUMN_BLOCK);
    long columns = blocks * PackedLayout.COLUMN_BLOCK;
    long mine = Math.ceilDiv(items, grid) * pair;
    long fixed =
        (long) most
            * (2 * (columns + PackedLayout.COLUMN_BLOCK)
                + 8 * (columns / run)
                + 4 * (columns / gemv_h.GEMV_TASK_COLUMNS())
                + 4 * mine * blocks * layout.tileRows());
    int groups = PackedLayout.COLUMN_BLOCK / run;
    long stage =
        (long) layout.tileRows() * (PackedLayout.COLUMN_BLOCK / Byte.SIZE * bits + 3 * groups)
            + BARRIER_BYTES;
    long work = mine * blocks;
    long mostFit = (mostShared - fixed) / stage;
    long fit = (target(input, result, work * stage) - fixed) / stage;
    if (result == Result.ADD_FLOAT && fit < gemv_h.GEMV_USUAL_WARPS()) {
      fit = (gemv_h.GEMV_NORM_SHARED_TARGET() - fixed) / stage;
    }
    int fewest = gemv_h.GEMV_MIN_WARPS();
    if (fit < fewest || fit > mostFit) {
      fit = mostFit;
    }
    if (fit < fewest) {
      return new GemvPlan("", grid, 0, 0, fixed);
    }
    int mostWarps = gemv_h.GEMV_MAX_WARPS();
    boolean many =
        result == Result.ADD_FLOAT
            || bits == 2
            || work <= mostWarps
            || layout.columns() > 2 * mostWarps * gemv_h.GEMV_TASK_COLUMNS();
    int usual = many ? mostWarps : gemv_h.GEMV_FEW_WARPS();
    int warps = (int) Math.min(fit < usual ? fit : fit / (fit / usual), mostWarps);
    long rounds = Math.ceilDiv(work, warps);
    if (rounds > 1) {
      warps = (int) Math.ceilDiv(work, rounds);
    } else if (warps > gemv_h.GEMV_USUAL_WARPS()) {
      warps = (int) Math.max(work, gemv_h.GEMV_USUAL_WARPS());
    }
    if (input == Input.ROWS && result != Result.ADD_FLOAT && warps > blocks) {
      long even = Math.ceilDiv(warps, blocks) * blocks;
      if (even <= mostWarps && fit / even == fit / warps) {
        warps = (int) even;
      }
    }
    int stages = (int) Math.min(Math.min(fit / warps, rounds), gemv_h.GEMV_MAX_STAGES());
    long needed = (long) warps * stages * stage + fixed;
    long least =
        result == Result.SWIGLU_HALF ? Math.min(mostShared, gemv_h.GEMV_PAIR_SHARED_LEAST()) : 0;
    return new GemvPlan(
        "gemv_w" + bits + "_g" + run + "_m" + most, grid, warps, stages, Math.max(needed, least));
  }

  /** Shared bytes of a block whose weights pass through rings as so many bytes. */
  private static int target(Input input, Result result, long ringBytes) {
    if (result == Result.ADD_FLOAT) {
      return gemv_h.GEMV_ADD_SHARED_TARGET();
    }
    if (input == Input.NORMED) {
      return gemv_h.GEMV_NORM_SHARED_TARGET();
    }
    return ringBytes > gemv_h.GEMV_LONG_BYTES()
        ? gemv_h.GEMV_LONG_SHARED_TARGET()
        : gemv_h.GEMV_SHARED_TARGET();
  }
}
