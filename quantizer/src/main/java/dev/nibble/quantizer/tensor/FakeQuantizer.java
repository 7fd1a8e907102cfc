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
      RowQuantizer.restore(x, run * width, width, bits, out, run * width);
    }
  }

  /**
   * Keys and values: likewise, with the step and the minimum rounded to fp16 as the cache keeps
   * them.
   *
   * @param x [runs, width], changed in place
   * @param from first run
   * @param to one past the last
   * @param width elements of a run
   * @param bits code width
   */
  public static void cachedRuns(float[] x, int from, int to, int width, int bits) {
    for (int run = from; run < to; run++) {
      RowQuantizer.restoreCached(x, run * width, width, bits);
    }
  }
}
