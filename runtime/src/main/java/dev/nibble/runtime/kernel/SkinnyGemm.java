package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.gemm_tile_h;
import dev.nibble.bindings.kernels.skinny_args;
import dev.nibble.bindings.kernels.skinny_h;
import dev.nibble.bindings.kernels.x_split_args;
import dev.nibble.bindings.kernels.x_split_h;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Dim3;
import dev.nibble.runtime.cuda.Kernel;
import dev.nibble.runtime.cuda.LaunchConfig;
import dev.nibble.runtime.cuda.Stream;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Launches x_split and the skinny kernels: packed weights times up to 64 tokens of 16 bits, with
 * the result that {@link PackedGemv} has for each of them.
 */
public final class SkinnyGemm {
  /** Most tokens of a launch. */
  public static final int MAX_TOKENS = skinny_h.SKINNY_MAX_TOKENS();

  private static final int VECTOR = 8;
  private static final int RUN_OF_CHANNELS = 128;
  private static final int SHORTEST_RUN = 32;
  private static final int RUN_BYTES = 8;
  private static final int STAGES_OF_BLOCK = PackedLayout.COLUMN_BLOCK / skinny_h.SKINNY_COLUMNS();
  private static final int NARROWEST = 32;
  private static final int NARROWEST_WGMMA = 16;

  /** Columns of B up to which a multiprocessor has two blocks of a wgmma kernel. */
  private static final int WIDEST_OF_TWO = 64;

  /** Shared memory that the device keeps of each block. */
  private static final int KEPT_BYTES = 1024;

  private static final int GROUP_THREADS = 128;
  private static final int ROWS_OF_TILE = 2 * PackedLayout.ROW_BLOCK;
  private static final int BYTES_OF_COUNTERS = 16;

  private final KernelCatalog kernels;
  private final boolean wgmma;
  private final int multiprocessors;
  private final int mostShared;
  private final LaunchConfig.Start start;
  private final Map<String, Kernel> loaded = new HashMap<>();
  private @Nullable MemorySegment splitArgs;
  private @Nullable MemorySegment args;

  /**
   * Finds the kernels' images; a kernel is loaded when it is first used.
   *
   * @param kernels of the device
   */
  public SkinnyGemm(KernelCatalog kernels) {
    this.kernels = kernels;
    wgmma = kernels.isHopper();
    multiprocessors = kernels.device().properties().multiprocessors();
    mostShared = kernels.device().properties().sharedBytesPerBlock();
    start = kernels.earliestStart();
  }

  /**
   * Room for split inputs.
   *
   * @param parts int8 parts
   * @param runs scales and sums of their runs
   * @param scales float, one a token
   */
  public record Split(DeviceRange parts, DeviceRange runs, DeviceRange scales) {}

  /**
   * Room for sums on their way.
   *
   * @param chains their values
   * @param arrivals counters, zeros between products
   */
  public record Scratch(DeviceRange chains, DeviceRange arrivals) {}

  /**
   * Size of {@link Scratch#chains}.
   *
   * @param tokens most tokens
   * @param rows most padded rows of a product
   * @return bytes
   */
  public static long chainBytes(int tokens, int rows) {
    return (long) skinny_h.SKINNY_CHAINS()
        * Float.BYTES
        * tiles(rows)
        * ROWS_OF_TILE
        * (width(NARROWEST_WGMMA, tokens) / 2);
  }

  /**
   * Size of {@link Scratch#arrivals}.
   *
   * @param rows most padded rows of a product
   * @return bytes
   */
  public static long arrivalBytes(int rows) {
    return tiles(rows) * BYTES_OF_COUNTERS;
  }

  private static long tiles(long rows) {
    return Math.ceilDiv(rows, (long) ROWS_OF_TILE);
  }

  /** Columns of operand B of the kernel that takes so many tokens. */
  private static int width(int narrowest, int tokens) {
    int width = narrowest;
    while (width < 2 * tokens) {
      width *= 2;
    }
    return width;
  }

  /**
   * Size of {@link Split#parts}.
   *
   * @param tokens most tokens
   * @param columns most columns of a token
   * @return bytes
   */
  public static long partBytes(int tokens, int columns) {
    return InputTiler.bytes(InputTiler.Kind.CODES, Math.multiplyExact(2, tokens), columns);
  }

  /**
   * Size of {@link Split#runs}.
   *
   * @param tokens most tokens
   * @param columns most columns of a token
   * @return bytes
   */
  public static long runBytes(int tokens, int columns) {
    return ActivationCodes.codeStride(columns) / SHORTEST_RUN * even(tokens) * RUN_BYTES;
  }

  private static int even(int tokens) {
    return tokens + (tokens & 1);
  }

  private static int run(PackedLayout layout) {
    return layout.groupSize() == 0 ? RUN_OF_CHANNELS : layout.groupSize();
  }

  /**
   * Enqueues the splitting of inputs. Asynchronous with respect to the host.
   *
   * @param stream runs it
   * @param layout of the weights that they will meet
   * @param x fp16 [tokens, columns], or float where there is a norm; its stride a multiple of 8
   * @param norm what is done to x first, if anything
   * @param tokens 1 to {@link #MAX_TOKENS}
   * @param split receives the parts
   */
  public void split(
      Stream stream,
      PackedLayout layout,
      MatrixRows x,
      PackedGemv.@Nullable Norm norm,
      int tokens,
      Split split) {
    int columns = layout.columns();
    Kernel kernel = kernel("x_split", "x_split_g" + run(layout));
    MemorySegment struct = splitArgs;
    if (struct == null) {
      struct = kernel.newArguments(x_split_args.sizeof());
      splitArgs = struct;
    }
    struct.fill((byte) 0);
    StructPointers.set(
        struct,
        x_split_args.x$offset(),
        x.require("x", tokens, columns, norm == null ? Short.BYTES : Float.BYTES, VECTOR));
    if (norm != null) {
      StructPointers.set(
          struct,
          x_split_args.norm_weight$offset(),
          norm.weight().require("norm weight", (long) Float.BYTES * columns));
      StructPointers.set(
          struct,
          x_split_args.channel_order$offset(),
          "channel order",
          norm.order(),
          (long) Short.BYTES * columns);
      x_split_args.epsilon(struct, norm.epsilon());
    }
    StructPointers.set(
        struct,
        x_split_args.parts$offset(),
        split.parts.require("parts", partBytes(tokens, columns)));
    StructPointers.set(
        struct, x_split_args.runs$offset(), split.runs.require("runs", runBytes(tokens, columns)));
    StructPointers.set(
        struct,
        x_split_args.token_scales$offset(),
        split.scales.require("scales", (long) Float.BYTES * tokens));
    x_split_args.x_stride(struct, x.stride());
    x_split_args.run_stride(struct, even(tokens));
    x_split_args.columns(struct, columns);
    kernel.launch(
        stream,
        new LaunchConfig(
            new Dim3(
                tokens,
                norm == null ? Math.ceilDiv(columns, x_split_h.X_SPLIT_BLOCK_COLUMNS()) : 1,
                1),
            Dim3.of(x_split_h.X_SPLIT_THREADS()),
            0,
            start),
        struct);
  }

  /**
   * Enqueues the products. Asynchronous with respect to the host.
   *
   * @param stream runs it
   * @param weights of all parts, each padded to whole blocks of 64 rows
   * @param split inputs
   * @param scratch for sums on their way
   * @param tokens as many as were split
   * @param parts the linears, in the order of their weights
   * @param result what becomes of the products
   */
  public void multiply(
      Stream stream,
      DeviceWeights.Packed weights,
      Split split,
      Scratch scratch,
      int tokens,
      List<PackedGemv.Part> parts,
      PackedGemv.Result result) {
    PackedLayout layout = weights.layout();
    if (tokens > MAX_TOKENS || parts.isEmpty() || parts.size() > 3) {
      throw new IllegalArgumentException(parts.size() + " linears of " + tokens + " tokens");
    }
    boolean swiglu = result == PackedGemv.Result.SWIGLU_HALF;
    Plan plan = plan(layout, tokens, swiglu);
    Kernel kernel = kernel("skinny_w" + layout.bits(), plan.kernel);
    MemorySegment struct = args;
    if (struct == null) {
      struct = kernel.newArguments(skinny_args.sizeof());
      args = struct;
    }
    struct.fill((byte) 0);
    StructPointers.set(struct, skinny_args.qweight$offset(), weights.codes().address());
    StructPointers.set(struct, skinny_args.scales$offset(), weights.scales().address());
    DeviceRange zeros = weights.zeros();
    StructPointers.set(struct, skinny_args.zeros$offset(), zeros == null ? 0 : zeros.address());
    StructPointers.set(
        struct,
        skinny_args.x$offset(),
        split.parts.require("parts", partBytes(tokens, layout.columns())));
    StructPointers.set(
        struct,
        skinny_args.runs$offset(),
        split.runs.require("runs", runBytes(tokens, layout.columns())));
    StructPointers.set(
        struct,
        skinny_args.token_scales$offset(),
        split.scales.require("scales", (long) Float.BYTES * tokens));
    long padded = 0;
    for (int i = 0; i < parts.size(); i++) {
      padded += PackedGemv.paddedRows(parts.get(i));
      PackedGemv.write(skinny_args.segments(struct, i), parts.get(i), tokens, result, i);
    }
    if (padded != layout.paddedRows()) {
      throw new IllegalArgumentException(
          "parts of " + padded + " rows, weights of " + layout.paddedRows());
    }
    skinny_args.columns(struct, layout.columns());
    skinny_args.tokens(struct, tokens);
    skinny_args.group_size(struct, layout.groupSize());
    skinny_args.run_stride(struct, even(tokens));
    skinny_args.segment_count(struct, parts.size());
    skinny_args.epilogue(struct, PackedGemv.epilogue(result));
    if (plan.xStages > 0) {
      skinny_args.x_stages(struct, plan.xStages);
      skinny_args.weight_stages(struct, plan.weightStages);
      StructPointers.set(
          struct,
          skinny_args.chain_sums$offset(),
          scratch.chains.require("chain sums", chainBytes(tokens, layout.paddedRows())));
      StructPointers.set(
          struct,
          skinny_args.arrivals$offset(),
          scratch.arrivals.require("arrivals", arrivalBytes(layout.paddedRows())));
    }
    kernel.launch(
        stream,
        new LaunchConfig(Dim3.of(plan.grid), Dim3.of(plan.threads), plan.sharedBytes, start),
        struct);
  }

  /** Without stages for the kernels that have theirs fixed. */
  private record Plan(
      String kernel, int grid, int threads, int sharedBytes, int xStages, int weightStages) {}

  /** As skinny.h tells the launcher to. */
  private Plan plan(PackedLayout layout, int tokens, boolean swiglu) {
    if (wgmma && run(layout) == RUN_OF_CHANNELS) {
      Plan plan = wgmmaPlan(layout, tokens);
      if (plan.weightStages > 0) {
        return plan;
      }
    }
    int width = width(NARROWEST, tokens);
    int blocks = layout.paddedRows() / skinny_h.SKINNY_ROWS();
    return new Plan(
        "skinny_w" + layout.bits() + "a16_n" + width,
        swiglu ? blocks / 2 : blocks,
        skinny_h.SKINNY_THREADS(),
        sharedBytes(layout.bits(), width),
        0,
        0);
  }

  /** Blocks of a tile wait for each other: there are no more than the device runs at once. */
  private Plan wgmmaPlan(PackedLayout layout, int tokens) {
    int width = width(NARROWEST_WGMMA, tokens);
    int blocks = width > WIDEST_OF_TWO ? 1 : 2;
    int xBytes = width * (gemm_tile_h.GEMM_TILE_ROW_BYTES() + Integer.BYTES);
    int weightBytes =
        2 * PackedLayout.ROW_BLOCK * (PackedLayout.COLUMN_BLOCK / Byte.SIZE * layout.bits() + 12);
    int room =
        (mostShared + KEPT_BYTES) / blocks
            - KEPT_BYTES
            - skinny_h.SKINNY_STATIC_BYTES()
            - skinny_h.SKINNY_ALIGNMENT();
    int units = Math.toIntExact(ActivationCodes.codeStride(layout.columns()) / RUN_OF_CHANNELS);
    int ofBlock = PackedLayout.COLUMN_BLOCK / RUN_OF_CHANNELS;
    int xStages =
        Math.min(units, Math.ceilDiv(units, skinny_h.SKINNY_CHAINS() * ofBlock) * ofBlock);
    if (xStages > skinny_h.SKINNY_X_STAGES() || room - xStages * xBytes < 2 * weightBytes) {
      xStages = skinny_h.SKINNY_FEW_X_STAGES();
    }
    int weightStages =
        Math.clamp((room - xStages * xBytes) / weightBytes, 0, skinny_h.SKINNY_WEIGHT_STAGES());
    int chains = skinny_h.SKINNY_CHAINS();
    return new Plan(
        "skinny_w" + layout.bits() + "a16_wgmma_n" + width,
        Math.toIntExact(
            Math.min(tiles(layout.paddedRows()), multiprocessors * blocks / chains) * chains),
        GROUP_THREADS * (blocks == 1 ? 5 : 3),
        skinny_h.SKINNY_ALIGNMENT() + xStages * xBytes + weightStages * weightBytes,
        xStages,
        weightStages);
  }

  /** As skinny.h says; for few tokens the faster way if a block may have what it needs. */
  private int sharedBytes(int bits, int width) {
    int codes = skinny_h.SKINNY_ROWS() * skinny_h.SKINNY_COLUMNS() / Byte.SIZE * bits;
    int x = width * skinny_h.SKINNY_COLUMNS();
    int scales = 3 * Float.BYTES * skinny_h.SKINNY_ROWS();
    int runs = 16 * width;
    int wide =
        skinny_h.SKINNY_WIDE_STAGES() * (STAGES_OF_BLOCK * (codes + x) + scales + runs)
            + skinny_h.SKINNY_EXCHANGE_BYTES();
    return width == NARROWEST && wide <= mostShared
        ? wide
        : skinny_h.SKINNY_STAGES() * (codes + x + scales + runs);
  }

  private Kernel kernel(String image, String name) {
    return loaded.computeIfAbsent(
        name,
        _ -> {
          Kernel kernel = kernels.kernel(image, name);
          if (!image.equals("x_split")) {
            kernel.allowSharedBytes(
                name.contains("wgmma") ? mostShared - skinny_h.SKINNY_STATIC_BYTES() : mostShared);
          }
          return kernel;
        });
  }
}
