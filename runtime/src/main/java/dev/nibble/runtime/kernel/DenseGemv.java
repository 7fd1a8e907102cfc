package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.dense_gemv_args;
import dev.nibble.bindings.kernels.dense_gemv_h;
import dev.nibble.quantizer.format.DType;
import dev.nibble.runtime.cuda.Dim3;
import dev.nibble.runtime.cuda.Kernel;
import dev.nibble.runtime.cuda.LaunchConfig;
import dev.nibble.runtime.cuda.Stream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Launches the dense_gemv kernels: weights of 16 bits times up to 64 tokens. */
public final class DenseGemv {
  /** Most tokens of a launch. */
  public static final int MAX_TOKENS = dense_gemv_h.DENSE_GEMV_MAX_TOKENS();

  /** Percent: two blocks fit, and the reads from device memory have the rest to land in. */
  private static final int SHARED_MEMORY = 45;

  /** Percent: two blocks of dense_batch fit. */
  private static final int BATCH_SHARED_MEMORY = 70;

  /** Most tokens that the kernels of 16 rows a block are faster with, whatever the rows. */
  private static final int FEW_TOKENS = 32;

  /** Most tokens whose norm costs less here, in every block, than in a kernel before. */
  private static final int NORMED_TOKENS = 2;

  private static final int VECTOR = 8;
  private static final int WARP = 32;

  private final KernelCatalog kernels;
  private final int multiprocessors;
  private final int mostShared;
  private final LaunchConfig.Start start;
  private final Map<String, Kernel> loaded = new HashMap<>();
  private @Nullable MemorySegment args;

  /**
   * Finds the kernels' image; a kernel is loaded when it is first used.
   *
   * @param kernels of the device
   */
  public DenseGemv(KernelCatalog kernels) {
    this.kernels = kernels;
    multiprocessors = kernels.device().properties().multiprocessors();
    mostShared = kernels.device().properties().sharedBytesPerBlock();
    start = kernels.earliestStart();
  }

  /**
   * Whether a product should do the norm before it itself. The result is the same.
   *
   * @param weights of the product
   * @param norm before it
   * @param tokens at most {@link #MAX_TOKENS}
   * @return true if it can and that is faster
   */
  public boolean takesNorm(DeviceWeights.Dense weights, PackedGemv.Norm norm, int tokens) {
    return norm.order() == null
        && tokens <= NORMED_TOKENS
        && width(weights.columns(), tokens) == VECTOR;
  }

  /**
   * Enqueues the products. Asynchronous with respect to the host.
   *
   * @param stream runs it
   * @param weights of all parts, one after the other, each but a single one padded to 64 rows
   * @param x fp16 [tokens, columns], or float where there is a norm; its stride a multiple of 8
   * @param norm what is done to x first, if anything: only what {@link #takesNorm} says
   * @param tokens 1 to {@link #MAX_TOKENS}
   * @param parts the linears, in the order of their weights
   * @param result what becomes of the products
   */
  public void multiply(
      Stream stream,
      DeviceWeights.Dense weights,
      MatrixRows x,
      PackedGemv.@Nullable Norm norm,
      int tokens,
      List<PackedGemv.Part> parts,
      PackedGemv.Result result) {
    if (tokens > MAX_TOKENS
        || parts.isEmpty()
        || parts.size() > dense_gemv_h.DENSE_GEMV_MAX_SEGMENTS()) {
      throw new IllegalArgumentException(parts.size() + " linears of " + tokens + " tokens");
    }
    int columns = weights.columns();
    Plan plan = plan(weights, tokens, tiles(parts), result);
    Kernel kernel = kernel(plan);
    MemorySegment struct = args;
    if (struct == null) {
      struct = kernel.newArguments(dense_gemv_args.sizeof());
      args = struct;
    }
    struct.fill((byte) 0);
    long row = 0;
    for (int i = 0; i < parts.size(); i++) {
      PackedGemv.Part part = parts.get(i);
      long rows = parts.size() == 1 ? part.rows() : PackedGemv.paddedRows(part);
      if (row + rows > weights.rows()) {
        throw new IllegalArgumentException(
            "parts of more rows than the weights' " + weights.rows());
      }
      struct.set(
          ValueLayout.JAVA_LONG,
          dense_gemv_args.weights$offset() + (long) Long.BYTES * i,
          weights.data().address() + Short.BYTES * row * columns);
      PackedGemv.write(dense_gemv_args.segments(struct, i), part, tokens, result, i);
      row += rows;
    }
    int elementBytes = norm == null ? Short.BYTES : Float.BYTES;
    StructPointers.set(
        struct, dense_gemv_args.x$offset(), x.require("x", tokens, columns, elementBytes, VECTOR));
    if (norm != null) {
      StructPointers.set(
          struct,
          dense_gemv_args.norm_weight$offset(),
          norm.weight().require("norm weight", (long) Float.BYTES * columns));
      dense_gemv_args.epsilon(struct, norm.epsilon());
    }
    dense_gemv_args.weight_stride(struct, columns);
    dense_gemv_args.x_stride(struct, x.stride());
    dense_gemv_args.columns(struct, columns);
    dense_gemv_args.tokens(struct, tokens);
    dense_gemv_args.segment_count(struct, parts.size());
    dense_gemv_args.epilogue(struct, PackedGemv.epilogue(result));
    kernel.launch(
        stream,
        new LaunchConfig(Dim3.of(plan.blocks), Dim3.of(WARP * plan.warps), plan.sharedBytes, start),
        struct);
  }

  /**
   * How a product is launched.
   *
   * @param kernel its name
   * @param blocks of the grid
   * @param warps of a block
   * @param sharedBytes of a block
   * @param sharedPercent of a multiprocessor's memory that is shared memory
   */
  private record Plan(String kernel, int blocks, int warps, int sharedBytes, int sharedPercent) {}

  private Plan plan(DeviceWeights.Dense weights, int tokens, long tiles, PackedGemv.Result result) {
    String type = weights.dtype() == DType.BF16 ? "bf16" : "f16";
    int width = width(weights.columns(), tokens);
    int sharedBytes = sharedBytes(weights.columns(), tokens, width);
    long batchItems = Math.ceilDiv(tiles, dense_gemv_h.DENSE_BATCH_WARPS());
    if (sharedBytes > mostShared
        || (tokens > FEW_TOKENS && 4 * batchItems >= 3L * multiprocessors)) {
      return new Plan(
          "dense_batch_" + type,
          (int) Math.min(batchItems, 2L * multiprocessors),
          dense_gemv_h.DENSE_BATCH_WARPS(),
          dense_gemv_h.DENSE_BATCH_SHARED_BYTES(),
          BATCH_SHARED_MEMORY);
    }
    long items = result == PackedGemv.Result.SWIGLU_HALF ? tiles / 2 : tiles;
    int blocks = width == VECTOR ? 2 * multiprocessors : multiprocessors;
    return new Plan(
        "dense_gemv_" + type + "_m" + width,
        (int) Math.min(items, blocks),
        dense_gemv_h.DENSE_GEMV_WARPS(),
        sharedBytes,
        SHARED_MEMORY);
  }

  /** Tiles of all parts. */
  private static long tiles(List<PackedGemv.Part> parts) {
    return parts.stream()
        .mapToLong(part -> Math.ceilDiv(part.rows(), dense_gemv_h.DENSE_GEMV_ROWS()))
        .sum();
  }

  private Kernel kernel(Plan plan) {
    return loaded.computeIfAbsent(
        plan.kernel,
        name -> {
          Kernel kernel = kernels.kernel("dense_gemv", name);
          kernel.allowSharedBytes(mostShared);
          kernel.preferSharedMemory(plan.sharedPercent);
          return kernel;
        });
  }

  /** Tokens of the kernel to take. */
  private int width(int columns, int tokens) {
    int width = VECTOR;
    while (width < tokens) {
      width *= 2;
    }
    return width == VECTOR && sharedBytes(columns, tokens, width) > mostShared ? 2 * VECTOR : width;
  }

  static int sharedBytes(int columns, int tokens, int width) {
    int unit = dense_gemv_h.DENSE_GEMV_BLOCK_COLUMNS();
    long padded = Math.ceilDiv(columns, unit) * (long) unit;
    long x = width == VECTOR ? tokens * (2 * padded + 64) : 0;
    int batch = tokens < 16 ? 32 / tokens / 2 * 2 : 2;
    return Math.toIntExact(
        x
            + (long) batch
                * dense_gemv_h.DENSE_GEMV_WARPS()
                * dense_gemv_h.DENSE_GEMV_ROWS()
                * tokens
                * Float.BYTES);
  }
}
