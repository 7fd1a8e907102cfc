package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.gemm_args;
import dev.nibble.bindings.kernels.gemm_h;
import dev.nibble.bindings.kernels.gemm_tile_h;
import dev.nibble.quantizer.format.DType;
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

/** Launches the gemm kernels: tiled activations of any number of tokens times weights. */
public final class LargeGemm {
  private static final int WIDEST_CODES = 65536;
  private static final int FOUR_BITS = 4;

  private final KernelCatalog kernels;
  private final boolean clusters;
  private final int multiprocessors;
  private final LaunchConfig.Start start;
  private final Map<String, Kernel> loaded = new HashMap<>();
  private @Nullable MemorySegment args;

  /**
   * Finds the kernels' images; a kernel is loaded when it is first used.
   *
   * @param kernels of the device
   */
  public LargeGemm(KernelCatalog kernels) {
    this.kernels = kernels;
    clusters = kernels.isHopper();
    multiprocessors = kernels.device().properties().multiprocessors();
    start = kernels.earliestStart();
  }

  /**
   * What turns a product of codes into one of what they stand for.
   *
   * @param codes scales, zeros and sums of the tokens
   * @param rowSums float [rows], sums over the columns of scale (code - zero) of the weights
   */
  public record CodeScales(ActivationCodes codes, DeviceRange rowSums) {}

  /**
   * What codes of activations are multiplied as. Weights in groups meet halves, which on an H200 is
   * faster; others integers, of 4 bits if both are and the device has tensor cores for that.
   *
   * @param weights of the product
   * @param bits of the codes
   * @return how the activations must be tiled
   */
  public InputTiler.Kind codeTiles(DeviceWeights weights, int bits) {
    if (!(weights instanceof DeviceWeights.Packed packed)
        || packed.columns() > WIDEST_CODES
        || isGrouped(packed)) {
      return InputTiler.Kind.CODES_TO_HALVES;
    }
    return bits == FOUR_BITS && packed.layout().bits() == FOUR_BITS && !clusters
        ? InputTiler.Kind.CODES_TO_FOURS
        : InputTiler.Kind.CODES;
  }

  /**
   * Loads the kernels that products with some weights may need, so that no launch does.
   *
   * @param weights of the products
   * @param kind how activations are tiled
   */
  public void prepare(DeviceWeights weights, InputTiler.Kind kind) {
    for (int tile : tiles(weights, kind)) {
      var _ = kernel(weights, kind, tile);
    }
  }

  /**
   * Enqueues y = x W^T + bias. Asynchronous with respect to the host.
   *
   * @param stream runs it
   * @param weights W
   * @param bias float [rows], if there is one
   * @param x tiled tokens
   * @param scales what codes stand for; null for halves, and for codes whose scales are folded into
   *     those of the weights' groups
   * @param epilogue what becomes of the product
   * @param y fp16 or float [tokens, rows], its stride even
   */
  public void multiply(
      Stream stream,
      DeviceWeights weights,
      @Nullable DeviceRange bias,
      InputTiler.Tiled x,
      @Nullable CodeScales scales,
      Epilogue epilogue,
      MatrixRows y) {
    if (x.columns() != weights.columns()) {
      throw new IllegalArgumentException(
          "inputs of " + x.columns() + " columns, weights of " + weights.columns());
    }
    boolean integers =
        x.kind() == InputTiler.Kind.CODES || x.kind() == InputTiler.Kind.CODES_TO_FOURS;
    if (scales == null && integers && !isGrouped(weights)) {
      throw new IllegalArgumentException(
          "codes and weights of one scale a row need the codes' scales and sums");
    }
    int tokens = x.tokens();
    int rows = weights.rows();
    int tile = tile(weights, x.kind(), tokens);
    Kernel kernel = kernel(weights, x.kind(), tile);
    MemorySegment struct = args;
    if (struct == null) {
      struct = kernel.newArguments(gemm_args.sizeof());
      args = struct;
    }
    struct.fill((byte) 0);
    StructPointers.set(struct, gemm_args.x$offset(), x.require());
    switch (weights) {
      case DeviceWeights.Packed packed -> {
        StructPointers.set(struct, gemm_args.weight$offset(), packed.codes().address());
        StructPointers.set(struct, gemm_args.scales$offset(), packed.scales().address());
        DeviceRange zeros = packed.zeros();
        StructPointers.set(struct, gemm_args.zeros$offset(), zeros == null ? 0 : zeros.address());
        gemm_args.group_size(struct, packed.layout().groupSize());
      }
      case DeviceWeights.Dense dense -> {
        StructPointers.set(struct, gemm_args.weight$offset(), dense.data().address());
        gemm_args.weight_stride(struct, dense.columns());
      }
    }
    long rowBytes = (long) Float.BYTES * rows;
    StructPointers.set(struct, gemm_args.bias$offset(), "bias", bias, rowBytes);
    if (scales != null) {
      ActivationCodes codes = scales.codes();
      StructPointers.set(struct, gemm_args.token_scales$offset(), codes.requireScales(tokens));
      StructPointers.set(struct, gemm_args.token_zeros$offset(), codes.requireZeros(tokens));
      StructPointers.set(struct, gemm_args.token_sums$offset(), codes.requireSums(tokens));
      StructPointers.set(
          struct, gemm_args.row_sums$offset(), scales.rowSums().require("row sums", rowBytes));
    }
    StructPointers.set(
        struct,
        gemm_args.y$offset(),
        y.require(
            "y", tokens, rows, epilogue == Epilogue.STORE_HALF ? Short.BYTES : Float.BYTES, 2));
    gemm_args.y_stride(struct, y.stride());
    gemm_args.tokens(struct, tokens);
    gemm_args.rows(struct, rows);
    gemm_args.columns(struct, weights.columns());
    gemm_args.epilogue(
        struct,
        switch (epilogue) {
          case STORE_HALF -> gemm_h.GEMM_STORE_F16();
          case STORE_FLOAT -> gemm_h.GEMM_STORE_F32();
          case ADD_FLOAT -> gemm_h.GEMM_ADD_F32();
        });
    kernel.launch(
        stream,
        new LaunchConfig(
            Dim3.of(grid(rows, tokens, tile)),
            Dim3.of(clusters ? gemm_h.GEMM_SM90_THREADS() : gemm_h.GEMM_THREADS()),
            sharedBytes(tile),
            start),
        struct);
  }

  private Kernel kernel(DeviceWeights weights, InputTiler.Kind kind, int tile) {
    String input =
        switch (kind) {
          case HALVES, CODES_TO_HALVES -> "a16_";
          case CODES -> isGrouped(weights) ? "a8_groups_" : "a8_";
          case CODES_TO_FOURS -> "a4_";
        };
    String name =
        switch (weights) {
          case DeviceWeights.Packed packed -> "gemm_w" + packed.layout().bits() + input + tile;
          case DeviceWeights.Dense dense ->
              (dense.dtype() == DType.BF16 ? "gemm_bf16_" : "gemm_f16_") + tile;
        };
    return loaded.computeIfAbsent(
        name,
        _ -> {
          Kernel kernel = kernels.kernel(input.equals("a16_") ? "gemm_a16" : "gemm_a8", name);
          kernel.allowSharedBytes(sharedBytes(tile));
          return kernel;
        });
  }

  private List<Integer> tiles(DeviceWeights weights, InputTiler.Kind kind) {
    if (!clusters) {
      return List.of(128);
    }
    return kind == InputTiler.Kind.CODES && isGrouped(weights)
        ? List.of(64, 128)
        : List.of(64, 128, 256);
  }

  private static boolean isGrouped(DeviceWeights weights) {
    return weights instanceof DeviceWeights.Packed packed && packed.layout().groupSize() != 0;
  }

  /** The tile whose blocks have the least to do one after the other. */
  private int tile(DeviceWeights weights, InputTiler.Kind kind, int tokens) {
    int best = 0;
    long least = Long.MAX_VALUE;
    for (int tile : tiles(weights, kind)) {
      long work =
          Math.ceilDiv(tiles(weights.rows(), tokens, tile), grid(weights.rows(), tokens, tile))
              * (tile + 32L);
      if (work < least) {
        least = work;
        best = tile;
      }
    }
    return best;
  }

  private long tiles(int rows, int tokens, int tile) {
    int high = gemm_h.GEMM_ROWS();
    long across = Math.ceilDiv(tokens, tile);
    return clusters ? 2 * across * Math.ceilDiv(rows, 2 * high) : across * Math.ceilDiv(rows, high);
  }

  private int grid(int rows, int tokens, int tile) {
    int most = clusters ? multiprocessors / 2 * 2 : multiprocessors;
    return (int) Math.min(tiles(rows, tokens, tile), most);
  }

  private int sharedBytes(int tile) {
    int stages = clusters ? gemm_h.GEMM_SM90_TOKEN_STAGES() : gemm_h.GEMM_STAGES();
    return tile * gemm_tile_h.GEMM_TILE_ROW_BYTES() * stages
        + (clusters ? gemm_h.GEMM_SM90_WEIGHT_BYTES() : 0)
        + gemm_h.GEMM_SHARED_ALIGNMENT();
  }
}
