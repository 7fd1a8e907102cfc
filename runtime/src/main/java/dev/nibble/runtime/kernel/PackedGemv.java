package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.gemv_args;
import dev.nibble.bindings.kernels.gemv_h;
import dev.nibble.bindings.kernels.gemv_segment;
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

/** Launches the gemv kernels: packed weights times a few tokens. */
public final class PackedGemv {
  /** Most tokens of a launch. */
  public static final int MAX_TOKENS = gemv_h.GEMV_MAX_TOKENS();

  private static final int VECTOR = 8;
  private static final int WARP = 32;
  private final KernelCatalog kernels;
  private final int multiprocessors;
  private final int mostShared;
  private final LaunchConfig.Start start;
  private final Map<String, Kernel> loaded = new HashMap<>();
  private @Nullable MemorySegment args;

  /**
   * Finds the kernels' images; a kernel is loaded when it is first used.
   *
   * @param kernels of the device
   */
  public PackedGemv(KernelCatalog kernels) {
    this.kernels = kernels;
    multiprocessors = kernels.device().properties().multiprocessors();
    mostShared = kernels.device().properties().sharedBytesPerBlock();
    start = kernels.earliestStart();
  }

  /** What becomes of the products. */
  public enum Result {
    /** They are stored as fp16. */
    STORE_HALF,
    /** They are stored as float. */
    STORE_FLOAT,
    /** They are added to float. */
    ADD_FLOAT,
    /** Stored as fp16, those below 0 as 0. */
    RELU_HALF,
    /** silu of the first part's times the second's, stored as fp16 where the first part's y is. */
    SWIGLU_HALF
  }

  /**
   * A linear of those that share the input.
   *
   * @param rows unpadded
   * @param bias float [rows], if there is one
   * @param addend float [tokens, rows] that is added, if there is one
   * @param y receives the products, [tokens, rows]
   */
  public record Part(
      int rows, @Nullable DeviceRange bias, @Nullable MatrixRows addend, MatrixRows y) {}

  /**
   * An RMSNorm of the input.
   *
   * @param weight float [columns]
   * @param order uint16 [columns], the channel of each column, if they are permuted
   * @param epsilon added to the mean square
   */
  public record Norm(DeviceRange weight, @Nullable DeviceRange order, float epsilon) {}

  /**
   * Whether a product fits a block's shared memory.
   *
   * @param weights of the product
   * @param tokens at most {@link #MAX_TOKENS}
   * @param result what becomes of it
   * @return false if another kernel must do it
   */
  public boolean takes(DeviceWeights.Packed weights, int tokens, Result result) {
    return tokens <= MAX_TOKENS && plan(weights.layout(), tokens, null, result).stages() > 0;
  }

  /**
   * Loads the kernel of a product, so that no launch does.
   *
   * @param weights of the product
   * @param tokens at most {@link #MAX_TOKENS}
   * @param result what becomes of it
   */
  public void prepare(DeviceWeights.Packed weights, int tokens, Result result) {
    var _ = kernel(weights.layout(), plan(weights.layout(), tokens, null, result));
  }

  /**
   * Enqueues the products. Asynchronous with respect to the host.
   *
   * @param stream runs it
   * @param weights of all parts, each padded to whole blocks of 64 rows
   * @param x fp16 [tokens, columns], or float where there is a norm; its stride a multiple of 8
   * @param norm what is done to x first, if anything
   * @param tokens 1 to {@link #MAX_TOKENS}
   * @param parts the linears, in the order of their weights
   * @param result what becomes of the products
   */
  public void multiply(
      Stream stream,
      DeviceWeights.Packed weights,
      MatrixRows x,
      @Nullable Norm norm,
      int tokens,
      List<Part> parts,
      Result result) {
    PackedLayout layout = weights.layout();
    int columns = layout.columns();
    GemvPlan plan = plan(layout, tokens, norm, result);
    if (plan.stages() == 0 || tokens > MAX_TOKENS) {
      throw new IllegalArgumentException(
          tokens
              + " tokens times "
              + layout
              + ": needs "
              + plan.sharedBytes()
              + " bytes of shared memory");
    }
    if (parts.isEmpty() || parts.size() > gemv_h.GEMV_MAX_SEGMENTS()) {
      throw new IllegalArgumentException(parts.size() + " linears at once");
    }
    Kernel kernel = kernel(layout, plan);
    MemorySegment struct = args;
    if (struct == null) {
      struct = kernel.newArguments(gemv_args.sizeof());
      args = struct;
    }
    struct.fill((byte) 0);
    StructPointers.set(struct, gemv_args.qweight$offset(), weights.codes().address());
    StructPointers.set(struct, gemv_args.scales$offset(), weights.scales().address());
    DeviceRange zeros = weights.zeros();
    StructPointers.set(struct, gemv_args.zeros$offset(), zeros == null ? 0 : zeros.address());
    StructPointers.set(
        struct,
        gemv_args.x$offset(),
        x.require("x", tokens, columns, norm == null ? Short.BYTES : Float.BYTES, VECTOR));
    gemv_args.x_stride(struct, x.stride());
    if (norm != null) {
      StructPointers.set(
          struct,
          gemv_args.norm_weight$offset(),
          norm.weight.require("norm weight", (long) Float.BYTES * columns));
      StructPointers.set(
          struct,
          gemv_args.channel_order$offset(),
          "channel order",
          norm.order,
          (long) Short.BYTES * columns);
      gemv_args.epsilon(struct, norm.epsilon);
    }
    long padded = 0;
    for (int i = 0; i < parts.size(); i++) {
      padded += paddedRows(parts.get(i));
      write(gemv_args.segments(struct, i), parts.get(i), tokens, result, i);
    }
    if (padded != layout.paddedRows()) {
      throw new IllegalArgumentException(
          "parts of " + padded + " rows, weights of " + layout.paddedRows());
    }
    gemv_args.columns(struct, columns);
    gemv_args.tokens(struct, tokens);
    gemv_args.group_size(struct, layout.groupSize());
    gemv_args.segment_count(struct, parts.size());
    gemv_args.epilogue(struct, epilogue(result));
    gemv_args.stages(struct, plan.stages());
    kernel.launch(
        stream,
        new LaunchConfig(
            Dim3.of(plan.grid()),
            Dim3.of(WARP * plan.warps()),
            Math.toIntExact(plan.sharedBytes()),
            start),
        struct);
  }

  /** Rows of a part's weights. */
  static long paddedRows(Part part) {
    return Math.ceilDiv(part.rows, PackedLayout.ROW_BLOCK) * (long) PackedLayout.ROW_BLOCK;
  }

  /** Fills a segment of a kernel's struct. */
  static void write(MemorySegment segment, Part part, int tokens, Result result, int index) {
    int rows = part.rows;
    boolean halves = result != Result.STORE_FLOAT && result != Result.ADD_FLOAT;
    if (index == 0 || result != Result.SWIGLU_HALF) {
      StructPointers.set(
          segment,
          gemv_segment.y$offset(),
          part.y.require("y", tokens, rows, halves ? Short.BYTES : Float.BYTES, 1));
      gemv_segment.y_stride(segment, part.y.stride());
    }
    StructPointers.set(
        segment, gemv_segment.bias$offset(), "bias", part.bias, (long) Float.BYTES * rows);
    MatrixRows addend = part.addend;
    if (addend != null) {
      StructPointers.set(
          segment,
          gemv_segment.addend$offset(),
          addend.require("addend", tokens, rows, Float.BYTES, 1));
      gemv_segment.addend_stride(segment, addend.stride());
    }
    gemv_segment.rows(segment, rows);
  }

  static int epilogue(Result result) {
    return switch (result) {
      case STORE_HALF -> gemv_h.GEMV_STORE_F16();
      case STORE_FLOAT -> gemv_h.GEMV_STORE_F32();
      case ADD_FLOAT -> gemv_h.GEMV_ADD_F32();
      case RELU_HALF -> gemv_h.GEMV_RELU_F16();
      case SWIGLU_HALF -> gemv_h.GEMV_SWIGLU_F16();
    };
  }

  private Kernel kernel(PackedLayout layout, GemvPlan plan) {
    return loaded.computeIfAbsent(
        plan.kernel(),
        name -> {
          Kernel kernel = kernels.kernel("gemv_w" + layout.bits(), name);
          kernel.allowSharedBytes(mostShared);
          kernel.preferSharedMemory(DecodeAttention.SHARED_MEMORY);
          return kernel;
        });
  }

  private GemvPlan plan(PackedLayout layout, int tokens, @Nullable Norm norm, Result result) {
    GemvPlan.Input input = norm == null ? GemvPlan.Input.ROWS : GemvPlan.Input.NORMED;
    return GemvPlan.of(layout, tokens, input, result, multiprocessors, mostShared);
  }
}
