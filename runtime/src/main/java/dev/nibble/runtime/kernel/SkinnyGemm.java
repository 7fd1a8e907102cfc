package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.gemv_h;
import dev.nibble.bindings.kernels.skinny_args;
import dev.nibble.bindings.kernels.skinny_h;
import dev.nibble.bindings.kernels.x_split_args;
import dev.nibble.bindings.kernels.x_split_h;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.runtime.cuda.DeviceProperties;
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
 * Launches x_split and the skinny kernels: packed weights times up to 64 tokens, of 16 bits with
 * the result that {@link PackedGemv} has for each of them, or of codes.
 */
public final class SkinnyGemm {
  /** Most tokens of a launch. */
  public static final int MAX_TOKENS = skinny_h.SKINNY_MAX_TOKENS();

  private static final int VECTOR = 8;
  private static final int SHORTEST_RUN = 32;
  private static final int RUN_BYTES = 8;

  private final KernelCatalog kernels;
  private final SkinnyPlan.Target target;
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
    DeviceProperties properties = kernels.device().properties();
    target =
        new SkinnyPlan.Target(
            kernels.isHopper(), properties.multiprocessors(), properties.sharedBytesPerBlock());
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
   * Size of the memory for sums on their way.
   *
   * @param tokens most tokens
   * @param rows most padded rows of a product
   * @return bytes
   */
  public static long chainBytes(int tokens, int rows) {
    return SkinnyPlan.chainBytes(tokens, rows);
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
    return ActivationCodes.codeStride(columns) / SHORTEST_RUN * runStride(tokens) * RUN_BYTES;
  }

  /** Tokens from one run to the next. */
  private static int runStride(int tokens) {
    int unit = x_split_h.X_SPLIT_TOKEN_UNIT();
    return Math.ceilDiv(tokens, unit) * unit;
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
    Kernel kernel = kernel("x_split", "x_split_g" + SkinnyPlan.run(layout));
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
    x_split_args.run_stride(struct, runStride(tokens));
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
   * @param sums memory for sums on their way, {@link #chainBytes}: zeros between products
   * @param tokens as many as were split
   * @param parts the linears, in the order of their weights
   * @param result what becomes of the products
   */
  public void multiply(
      Stream stream,
      DeviceWeights.Packed weights,
      Split split,
      DeviceRange sums,
      int tokens,
      List<PackedGemv.Part> parts,
      PackedGemv.Result result) {
    PackedLayout layout = weights.layout();
    SkinnyPlan plan = plan(layout, SkinnyPlan.Input.PARTS, tokens, parts, result);
    Kernel kernel = kernel(image(layout), plan.kernel());
    MemorySegment struct = fill(kernel, plan, weights, sums, tokens, parts, result);
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
    skinny_args.run_stride(struct, runStride(tokens));
    launch(stream, kernel, plan, struct);
  }

  /**
   * Enqueues products with codes. Asynchronous with respect to the host.
   *
   * @param stream runs it
   * @param weights of all parts, each padded to whole blocks of 64 rows
   * @param x tiled codes
   * @param codes that x was made of; their sums are those of the weights' groups
   * @param rowSums float [padded rows], sums over the columns of scale (code - zero) of the
   *     weights; null where the tokens' scales and zeros are folded into the weights'
   * @param sums memory for sums on their way, {@link #chainBytes}: zeros between products
   * @param parts the linears, in the order of their weights
   * @param result what becomes of the products
   */
  public void multiply(
      Stream stream,
      DeviceWeights.Packed weights,
      InputTiler.Tiled x,
      ActivationCodes codes,
      @Nullable DeviceRange rowSums,
      DeviceRange sums,
      List<PackedGemv.Part> parts,
      PackedGemv.Result result) {
    PackedLayout layout = weights.layout();
    int tokens = x.tokens();
    if (x.kind() != InputTiler.Kind.CODES || x.columns() != layout.columns()) {
      throw new IllegalArgumentException("inputs " + x + ", weights " + layout);
    }
    SkinnyPlan plan = plan(layout, SkinnyPlan.Input.CODES, tokens, parts, result);
    Kernel kernel = kernel(image(layout), plan.kernel());
    MemorySegment struct = fill(kernel, plan, weights, sums, tokens, parts, result);
    StructPointers.set(struct, skinny_args.x$offset(), x.require());
    StructPointers.set(struct, skinny_args.sums$offset(), codes.requireSums(tokens));
    if (rowSums != null) {
      StructPointers.set(struct, skinny_args.token_scales$offset(), codes.requireScales(tokens));
      StructPointers.set(struct, skinny_args.token_zeros$offset(), codes.requireZeros(tokens));
      StructPointers.set(
          struct,
          skinny_args.row_sums$offset(),
          rowSums.require("row sums", (long) Float.BYTES * layout.paddedRows()));
    }
    launch(stream, kernel, plan, struct);
  }

  private SkinnyPlan plan(
      PackedLayout layout,
      SkinnyPlan.Input input,
      int tokens,
      List<PackedGemv.Part> parts,
      PackedGemv.Result result) {
    if (tokens > MAX_TOKENS || parts.isEmpty() || parts.size() > gemv_h.GEMV_MAX_SEGMENTS()) {
      throw new IllegalArgumentException(parts.size() + " linears of " + tokens + " tokens");
    }
    return SkinnyPlan.of(target, layout, input, tokens, result == PackedGemv.Result.SWIGLU_HALF);
  }

  /** The struct, with all but the inputs. */
  private MemorySegment fill(
      Kernel kernel,
      SkinnyPlan plan,
      DeviceWeights.Packed weights,
      DeviceRange sums,
      int tokens,
      List<PackedGemv.Part> parts,
      PackedGemv.Result result) {
    PackedLayout layout = weights.layout();
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
    skinny_args.segment_count(struct, parts.size());
    skinny_args.epilogue(struct, PackedGemv.epilogue(result));
    if (plan.xStages() > 0) {
      skinny_args.x_stages(struct, plan.xStages());
      skinny_args.weight_stages(struct, plan.weightStages());
      skinny_args.rings(struct, plan.rings());
      StructPointers.set(
          struct,
          skinny_args.chain_sums$offset(),
          sums.require("chain sums", chainBytes(tokens, layout.paddedRows())));
    }
    return struct;
  }

  private void launch(Stream stream, Kernel kernel, SkinnyPlan plan, MemorySegment struct) {
    kernel.launch(
        stream,
        new LaunchConfig(Dim3.of(plan.grid()), Dim3.of(plan.threads()), plan.sharedBytes(), start),
        struct);
  }

  private static String image(PackedLayout layout) {
    return "skinny_w" + layout.bits();
  }

  private Kernel kernel(String image, String name) {
    return loaded.computeIfAbsent(
        name,
        _ -> {
          Kernel kernel = kernels.kernel(image, name);
          if (!image.equals("x_split")) {
            kernel.allowSharedBytes(
                name.contains("wgmma")
                    ? target.mostShared() - skinny_h.SKINNY_STATIC_BYTES()
                    : target.mostShared());
          }
          return kernel;
        });
  }
}
