package dev.nibble.quantizer.tensor;

import java.lang.foreign.Arena;
import java.util.Objects;

/**
 * Matrix products on the Vector API. Float weights are read in place; packed weights are put in an
 * order of this class's own ({@link CodeWords}), which takes a hundredth more memory than the
 * packed file. Weights and arena must be accessible to every thread. Not thread-safe; the worker
 * threads share the rows, and a product allocates nothing once the largest batch has been seen.
 */
final class VectorMatmul {
  private final WorkerThreads workers;
  private final PackedProduct packed;
  private final DenseProduct dense;

  VectorMatmul(WorkerThreads workers) {
    this.workers = workers;
    packed = new PackedProduct(workers);
    dense = new DenseProduct(workers);
  }

  PreparedMatrix prepare(WeightMatrix weights, Arena arena) {
    return switch (weights) {
      case WeightMatrix.Dense w -> DenseProduct.Matrix.of(w);
      case WeightMatrix.Packed w -> CodeWords.of(w, arena, workers);
    };
  }

  void multiply(float[] x, int xOffset, int tokens, PreparedMatrix w, float[] y, int yOffset) {
    Objects.checkFromIndexSize(xOffset, Math.multiplyExact(tokens, w.columns()), x.length);
    Objects.checkFromIndexSize(yOffset, Math.multiplyExact(tokens, w.rows()), y.length);
    switch (w) {
      case CodeWords codes -> packed.multiply(x, xOffset, tokens, codes, y, yOffset);
      case DenseProduct.Matrix matrix -> dense.multiply(x, xOffset, tokens, matrix, y, yOffset);
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
    packed.multiply(x, codes, y, yOffset);
  }
}
