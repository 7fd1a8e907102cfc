package dev.nibble.quantizer.method;

import dev.nibble.quantizer.tensor.FloatGemm;
import dev.nibble.quantizer.tensor.FloatMatrix;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.util.Arrays;

/**
 * The sum of x^T y over windows of tokens, for the inputs of a linear: the Hessian of its squared
 * output error when y is x. A window's products are float32, their sum is double, so that neither
 * the number of windows nor that of threads costs accuracy or changes a bit. Not thread-safe.
 */
final class InputProducts {
  private static final int BAND = 128;

  private final int width;
  private final WorkerThreads workers;
  private final FloatGemm gemm;
  private final float[] window;
  private final double[] sums;

  InputProducts(int width, WorkerThreads workers) {
    this.width = width;
    this.workers = workers;
    gemm = new FloatGemm(workers);
    window = new float[Math.multiplyExact(width, width)];
    sums = new double[window.length];
  }

  /** Adds x^T x of a window [tokens, width]; only what is on or above the diagonal. */
  void addSquare(float[] x) {
    Arrays.fill(window, 0f);
    FloatMatrix turned = FloatMatrix.of(x, x.length / width, width).transposed();
    for (int first = 0; first < width; first += BAND) {
      int columns = Math.min(BAND, width - first);
      int rows = first + columns;
      gemm.add(
          new FloatMatrix(x, 0, rows, x.length / width, 1, width),
          new FloatMatrix(x, first, turned.columns(), columns, width, 1),
          new FloatMatrix(window, first, rows, columns, width, 1));
    }
    addWindow();
  }

  /** Adds x^T y of a window, both [tokens, width]. */
  void add(float[] x, float[] y) {
    int tokens = x.length / width;
    gemm.multiply(
        FloatMatrix.of(x, tokens, width).transposed(),
        FloatMatrix.of(y, tokens, width),
        FloatMatrix.of(window, width, width));
    addWindow();
  }

  /** The sums [width, width], live. */
  double[] sums() {
    return sums;
  }

  private void addWindow() {
    workers.run(
        width,
        (from, to, worker) -> {
          for (int i = from * width; i < to * width; i++) {
            sums[i] += window[i];
          }
        });
  }
}
