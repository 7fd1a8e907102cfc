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

  /** Multiplications of a prompt that plain loops do in less time than compiling takes. */
  private static final long PATIENCE = 200_000_000;

  private final WorkerThreads workers;
  private final Kernels kernels;
  private final PackedProduct packed;
  private final DenseProduct dense;
  private final Map<Integer, Warmups> widths = new HashMap<>();
  private final Map<DType, Warmups> types = new EnumMap<>(DType.class);

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
        compiled(matrix, 1);
        yield matrix;
      }
      case WeightMatrix.Packed w -> {
        CodeWords codes = CodeWords.of(w, arena, workers);
        compiled(codes, 1);
        yield codes;
      }
    };
  }

  void multiply(float[] x, int xOffset, int tokens, PreparedMatrix w, float[] y, int yOffset) {
    Objects.checkFromIndexSize(xOffset, Math.multiplyExact(tokens, w.columns()), x.length);
    Objects.checkFromIndexSize(yOffset, Math.multiplyExact(tokens, w.rows()), y.length);
    switch (w) {
      case CodeWords codes ->
          packed.multiply(x, xOffset, tokens, codes, compiled(codes, tokens), y, yOffset);
      case DenseProduct.Matrix matrix ->
          dense.multiply(x, xOffset, tokens, matrix, compiled(matrix, tokens), y, yOffset);
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
    packed.multiply(x, codes, compiled(codes, x.tokens()), y, yOffset);
  }

  private boolean compiled(CodeWords w, int tokens) {
    return switch (kernels) {
      case PLAIN -> false;
      case VECTOR -> true;
      case WHEN_COMPILED -> {
        Warmups warmups = widths.get(w.bits());
        if (warmups == null) {
          String name = "W" + w.bits();
          warmups =
              new Warmups(
                  new KernelWarmup(name, PackedProduct.sampleOfOne(w), 0),
                  new KernelWarmup(name + "-batch", PackedProduct.sampleOfMany(w), PATIENCE));
          widths.put(w.bits(), warmups);
        }
        yield warmups.compiled(w, tokens);
      }
    };
  }

  private boolean compiled(DenseProduct.Matrix w, int tokens) {
    return switch (kernels) {
      case PLAIN -> false;
      case VECTOR -> true;
      case WHEN_COMPILED -> {
        Warmups warmups = types.get(w.dtype());
        if (warmups == null) {
          String name = w.dtype().toString();
          warmups =
              new Warmups(
                  new KernelWarmup(name, DenseProduct.sampleOfOne(w), 0),
                  new KernelWarmup(name + "-batch", DenseProduct.sampleOfMany(w), PATIENCE));
          types.put(w.dtype(), warmups);
        }
        yield warmups.compiled(w, tokens);
      }
    };
  }

  /** Ends the warming threads. */
  @Override
  public void close() {
    widths.values().forEach(Warmups::close);
    types.values().forEach(Warmups::close);
  }

  /** The kernels of one kind of weights. */
  private record Warmups(KernelWarmup one, KernelWarmup many) {
    boolean compiled(PreparedMatrix w, int tokens) {
      long work = (long) w.rows() * w.columns() * tokens;
      return (tokens == 1 ? one : many).compiled(work);
    }

    void close() {
      one.close();
      many.close();
    }
  }
}
