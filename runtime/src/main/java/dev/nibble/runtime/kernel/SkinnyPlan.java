package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.gemm_tile_h;
import dev.nibble.bindings.kernels.skinny_h;
import dev.nibble.quantizer.format.PackedLayout;

/**
 * How a skinny kernel is launched, as skinny.h tells the launcher to.
 *
 * @param kernel its name
 * @param grid blocks
 * @param threads of a block
 * @param sharedBytes of a block
 * @param xStages stages of inputs; 0 for the kernels that have theirs fixed
 * @param rings of weights
 * @param weightStages stages of a ring
 */
record SkinnyPlan(
    String kernel,
    int grid,
    int threads,
    int sharedBytes,
    int xStages,
    int rings,
    int weightStages) {
  /** Columns that share a scale of the inputs where the weights have one scale a row. */
  static final int RUN_OF_CHANNELS = 128;

  private static final int STAGES_OF_BLOCK = PackedLayout.COLUMN_BLOCK / skinny_h.SKINNY_COLUMNS();
  private static final int NARROWEST = 32;
  private static final int NARROWEST_WGMMA = 16;

  private static final int GROUP_THREADS = 128;

  /** Of weights: two of each of two rings. */
  private static final int LEAST_STAGES = 4;

  /** What the tokens are. */
  enum Input {
    /** Two int8 parts of 16-bit inputs. */
    PARTS("a16", 2, 64),
    /** Codes of at most 8 bits. */
    CODES("a8", 1, 32);

    private final String name;

    /** Columns of operand B that a token has. */
    private final int columns;

    /** Columns of B up to which a warpgroup has all tokens of 64 rows. */
    private final int widestOfOne;

    Input(String name, int columns, int widestOfOne) {
      this.name = name;
      this.columns = columns;
      this.widestOfOne = widestOfOne;
    }

    /** Columns of operand B of the kernel that takes so many tokens. */
    private int width(int narrowest, int tokens) {
      int width = narrowest;
      while (width < columns * tokens) {
        width *= 2;
      }
      return width;
    }
  }

  /** A device that kernels run on. */
  record Target(boolean wgmma, int multiprocessors, int mostShared) {}

  static SkinnyPlan of(
      Target target, PackedLayout layout, Input input, int tokens, boolean swiglu) {
    if (target.wgmma && run(layout) == RUN_OF_CHANNELS) {
      SkinnyPlan plan = wgmma(target, layout, input, tokens, swiglu);
      if (plan.weightStages > 0) {
        return plan;
      }
    }
    int width = input.width(NARROWEST, tokens);
    int blocks = layout.paddedRows() / skinny_h.SKINNY_ROWS();
    return new SkinnyPlan(
        "skinny_w" + layout.bits() + input.name + "_n" + width,
        swiglu ? blocks / 2 : blocks,
        skinny_h.SKINNY_THREADS(),
        sharedBytes(target, layout.bits(), input, width),
        0,
        0,
        0);
  }

  /** Columns that share a scale of the inputs. */
  static int run(PackedLayout layout) {
    return layout.groupSize() == 0 ? RUN_OF_CHANNELS : layout.groupSize();
  }

  /** Bytes of sums on their way, whatever the inputs. */
  static long chainBytes(int tokens, int rows) {
    int most = 0;
    for (Input input : Input.values()) {
      most = Math.max(most, input.width(NARROWEST_WGMMA, tokens) / input.columns);
    }
    return (long) skinny_h.SKINNY_CHAINS() * Float.BYTES * rows * most;
  }

  /**
   * Blocks of the same rows wait for each other: there are no more than the device runs at once.
   */
  private static SkinnyPlan wgmma(
      Target target, PackedLayout layout, Input input, int tokens, boolean swiglu) {
    int width = input.width(NARROWEST_WGMMA, tokens);
    int parts = width > input.widestOfOne ? 2 : 1;
    int consumers = width > NARROWEST_WGMMA && parts == 1 ? 3 : 4;
    int xBytes = width * (gemm_tile_h.GEMM_TILE_ROW_BYTES() + Integer.BYTES);
    int weightBytes =
        PackedLayout.ROW_BLOCK * (PackedLayout.COLUMN_BLOCK / Byte.SIZE * layout.bits() + 12);
    int room = target.mostShared - skinny_h.SKINNY_STATIC_BYTES() - skinny_h.SKINNY_ALIGNMENT();
    int units = Math.toIntExact(ActivationCodes.codeStride(layout.columns()) / RUN_OF_CHANNELS);
    int ofBlock = PackedLayout.COLUMN_BLOCK / RUN_OF_CHANNELS;
    int chains = skinny_h.SKINNY_CHAINS();
    int xStages = Math.min(units, Math.ceilDiv(units, chains * ofBlock) * ofBlock);
    if (xStages > skinny_h.SKINNY_X_STAGES()
        || room - xStages * xBytes < LEAST_STAGES * weightBytes) {
      xStages = skinny_h.SKINNY_FEW_X_STAGES();
    }
    int fit = (room - xStages * xBytes) / weightBytes;
    int rings = fit < LEAST_STAGES ? 0 : Math.min(fit / 2, consumers / parts);
    int weightStages = rings == 0 ? 0 : Math.min(fit / rings, skinny_h.SKINNY_WEIGHT_STAGES());
    int items = layout.paddedRows() / PackedLayout.ROW_BLOCK / (swiglu ? 2 : 1);
    return new SkinnyPlan(
        "skinny_w" + layout.bits() + input.name + "_wgmma_n" + width,
        Math.min(items, target.multiprocessors / chains) * chains,
        GROUP_THREADS * (1 + consumers),
        skinny_h.SKINNY_ALIGNMENT() + xStages * xBytes + rings * weightStages * weightBytes,
        xStages,
        rings,
        weightStages);
  }

  /** For few tokens of parts the faster way if a block may have what it needs. */
  private static int sharedBytes(Target target, int bits, Input input, int width) {
    int codes = skinny_h.SKINNY_ROWS() * skinny_h.SKINNY_COLUMNS() / Byte.SIZE * bits;
    int x = width * skinny_h.SKINNY_COLUMNS();
    int scales = 3 * Float.BYTES * skinny_h.SKINNY_ROWS();
    int runs = 16 * width;
    int wide =
        skinny_h.SKINNY_WIDE_STAGES() * (STAGES_OF_BLOCK * (codes + x) + scales + runs)
            + skinny_h.SKINNY_EXCHANGE_BYTES();
    return input == Input.PARTS && width == NARROWEST && wide <= target.mostShared
        ? wide
        : skinny_h.SKINNY_STAGES() * (codes + x + scales + runs);
  }
}
