package dev.nibble.quantizer.tensor;

import dev.nibble.quantizer.format.DType;
import java.lang.foreign.Arena;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;

/**
 * Matrix products on the Vector API. Float weights are read in place; packed weights are put in an
 * order of this class's own ({@link CodeWords}), which takes a hundredth more memory than the
 * packed file. Weights and arena must be accessible to every thread. Not thread-safe; the worker
 * threads share the rows, and a product allocates nothing once the largest batch has been seen.
 */
final class VectorMatmul implements AutoCloseable {
  /** Which kernels to use; all give the same bits. */
  enum Kernels {
    PLAIN,
    VECTOR,
    /** Plain ones until the vector kernels are compiled. */
    WHEN_COMPILED
  }

  private final WorkerThreads workers;
  private final Kernels kernels;
  private final PackedProduct packed;
  private final DenseProduct dense;
  private final Map<Integer, KernelWarmup> widths = new HashMap<>();
  private final Map<DType, KernelWarmup> types = new EnumMap<>(DType.class);

  VectorMatmul(WorkerThreads workers) {
    this(workers, Kernels.WHEN_COMPILED);
  }

  VectorMatmul(WorkerThreads workers, Kernels kernels) {
    this.workers = workers;
    this.kernels = kernels;
    packed = new PackedProduct(workers);
    dense = new DenseProduct(workers);
  }

  PreparedMatrix prepare(WeightMatrix weights, Arena arena) {
    return switch (weights) {
      case WeightMatrix.Dense w -> {
        DenseProduct.Matrix matrix = DenseProduct.Matrix.of(w);
        compiled(matrix);
        yield matrix;
      }
      case WeightMatrix.Packed w -> {
        CodeWords codes = CodeWords.of(w, arena, workers);
        compiled(codes);
        yield codes;
      }
    };
  }

  void multiply(float[] x, int xOffset, int tokens, PreparedMatrix w, float[] y, int yOffset) {
    Objects.checkFromIndexSize(xOffset, Math.multiplyExact(tokens, w.columns()), x.length);
    Objects.checkFromIndexSize(yOffset, Math.multiplyExact(tokens, w.rows()), y.length);
    switch (w) {
      case CodeWords codes ->
          packed.multiply(x, xOffset, tokens, codes, compiled(codes), y, yOffset);
      case DenseProduct.Matrix matrix ->
          dense.multiply(x, xOffset, tokens, matrix, compiled(matrix), y, yOffset);
      default -> throw new IllegalArgumentException("weights prepared by another provider");
    }
  }

  void multiply(QuantizedActivations x, PreparedMatrix w, float[] y, int yOffset) {
    if (!(w instanceof CodeWords codes)) {
      throw new IllegalArgumentException("quantized inputs need weights packed for this provider");
    }
    if (x.width() != w.columns()) {
      throw new IllegalArgumentException(
          "inputs of " + x.width() + " channels, weights of " + w.columns());
    }
    Objects.checkFromIndexSize(yOffset, Math.multiplyExact(x.tokens(), w.rows()), y.length);
    packed.multiply(x, codes, compiled(codes), y, yOffset);
  }

  /** Whether a width's vector kernels are to be used; starts to warm them when first asked. */
  private boolean compiled(CodeWords w) {
    return switch (kernels) {
      case PLAIN -> false;
      case VECTOR -> true;
      case WHEN_COMPILED -> {
        KernelWarmup warmup = widths.get(w.bits());
        if (warmup == null) {
          warmup = KernelWarmup.start("W" + w.bits(), PackedProduct.sample(w));
          widths.put(w.bits(), warmup);
        }
        yield warmup.done();
      }
    };
  }

  private boolean compiled(DenseProduct.Matrix w) {
    return switch (kernels) {
      case PLAIN -> false;
      case VECTOR -> true;
      case WHEN_COMPILED -> {
        KernelWarmup warmup = types.get(w.dtype());
        if (warmup == null) {
          warmup = KernelWarmup.start(w.dtype().toString(), DenseProduct.sample(w));
          types.put(w.dtype(), warmup);
        }
        yield warmup.done();
      }
    };
  }

  /** Ends the warming threads. */
  @Override
  public void close() {
    widths.values().forEach(KernelWarmup::close);
    types.values().forEach(KernelWarmup::close);
  }
}
