package dev.nibble.quantizer.tensor;

/**
 * Quantizes runs of activations and restores them at once, in the arithmetic of {@link
 * TensorOperations#quantize} and {@link TensorOperations#append}.
 */
public final class FakeQuantizer {
  private FakeQuantizer() {}

  /**
   * Inputs of linears, and queries: min-max, step (max - min) / (2^bits - 1) within [1e-5, 1e4].
   *
   * @param x [runs, width]
   * @param from first run
   * @param to one past the last
   * @param width elements of a run
   * @param bits code width
   * @param out as x; may be x
   */
  public static void runs(float[] x, int from, int to, int width, int bits, float[] out) {
    for (int run = from; run < to; run++) {
      RowQuantizer.restore(x, run * width, width, bits, out);
    }
  }

  /**
   * The gradient of {@link #runs}, roundings passed straight through and zeros held fixed.
   *
   * @param x its inputs
   * @param from first run
   * @param to one past the last
   * @param width elements of a run
   * @param bits code width
   * @param dout gradient of its outputs
   * @param dx receives the gradient of x; may be dout
   */
  public static void gradient(
      float[] x, int from, int to, int width, int bits, float[] dout, float[] dx) {
    for (int run = from; run < to; run++) {
      RowQuantizer.gradient(x, run * width, width, bits, dout, dx);
    }
  }

  /**
   * Keys and values: as {@link #runs}, with the step and the minimum rounded to fp16 as the cache
   * keeps them.
   *
   * @param x [runs, width]
   * @param from first run
   * @param to one past the last
   * @param width elements of a run
   * @param bits code width
   * @param out as x; may be x
   */
  public static void cachedRuns(float[] x, int from, int to, int width, int bits, float[] out) {
    for (int run = from; run < to; run++) {
      RowQuantizer.restoreCached(x, run * width, width, bits, out);
    }
  }

  /**
   * The gradient of {@link #cachedRuns}, as {@link #gradient}.
   *
   * @param x its inputs
   * @param from first run
   * @param to one past the last
   * @param width elements of a run
   * @param bits code width
   * @param dout gradient of its outputs
   * @param dx receives the gradient of x; may be dout
   */
  public static void cachedGradient(
      float[] x, int from, int to, int width, int bits, float[] dout, float[] dx) {
    for (int run = from; run < to; run++) {
      RowQuantizer.gradientCached(x, run * width, width, bits, dout, dx);
    }
  }
}
