package dev.nibble.quantizer.method;

import dev.nibble.quantizer.tensor.FloatGemm;
import dev.nibble.quantizer.tensor.FloatMatrix;
import dev.nibble.quantizer.tensor.WorkerThreads;

/**
 * The squared error of a linear's outputs, summed over the calibration text: tr(D H D^T) for a
 * change D of its weights. Not thread-safe.
 */
final class OutputError {
  private final int width;
  private final float[] hessian;
  private final FloatGemm gemm;

  /**
   * Creates an instance.
   *
   * @param products x^T x [width, width], its upper half
   * @param workers the threads that compute; they change no bit
   */
  OutputError(double[] products, WorkerThreads workers) {
    width = (int) Math.sqrt(products.length);
    gemm = new FloatGemm(workers);
    hessian = new float[products.length];
    for (int i = 0; i < width; i++) {
      for (int j = 0; j < width; j++) {
        hessian[i * width + j] = (float) products[Math.min(i, j) * width + Math.max(i, j)];
      }
    }
  }

  /** The error that {@code changed} makes in place of {@code weights}, both [rows, width]. */
  double of(float[] weights, float[] changed) {
    float[] difference = new float[weights.length];
    for (int i = 0; i < weights.length; i++) {
      difference[i] = changed[i] - weights[i];
    }
    int rows = weights.length / width;
    float[] product = new float[weights.length];
    gemm.multiply(
        FloatMatrix.of(difference, rows, width),
        FloatMatrix.of(hessian, width, width),
        FloatMatrix.of(product, rows, width));
    double error = 0;
    for (int i = 0; i < difference.length; i++) {
      error += (double) difference[i] * product[i];
    }
    return error;
  }
}
