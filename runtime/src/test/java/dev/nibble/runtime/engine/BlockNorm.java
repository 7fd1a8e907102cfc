package dev.nibble.runtime.engine;

/** Norms of a row as a block of threads computes them. */
final class BlockNorm {
  private static final int WARP = 32;
  private static final int THREADS = 512;

  private BlockNorm() {}

  /** What a thread does with an element: its sum so far becomes another. */
  @FunctionalInterface
  private interface Step {
    float add(float sum, float element);
  }

  static void rms(float[] x, int from, float[] weight, float epsilon, float[] y) {
    norm(x, from, 0, weight, epsilon, y);
  }

  static void layer(float[] x, int from, float[] weight, float[] bias, float epsilon, float[] y) {
    float mean = sum(x, from, weight.length, Float::sum) / weight.length;
    norm(x, from, mean, weight, epsilon, y);
    for (int i = 0; i < bias.length; i++) {
      y[from + i] += bias[i];
    }
  }

  private static void norm(
      float[] x, int from, float mean, float[] weight, float epsilon, float[] y) {
    int width = weight.length;
    float squares =
        sum(x, from, width, (sum, element) -> Math.fma(element - mean, element - mean, sum));
    float scale = 1 / (float) Math.sqrt(squares / width + epsilon);
    for (int i = 0; i < width; i++) {
      y[from + i] = (x[from + i] - mean) * scale * weight[i];
    }
  }

  /** Each thread adds its own, then the lanes of a warp in pairs, then the warps. */
  private static float sum(float[] x, int from, int count, Step step) {
    float sum = 0;
    for (int warp = 0; warp < THREADS; warp += WARP) {
      float[] lanes = new float[WARP];
      for (int lane = 0; lane < WARP; lane++) {
        for (int i = warp + lane; i < count; i += THREADS) {
          lanes[lane] = step.add(lanes[lane], x[from + i]);
        }
      }
      for (int apart = WARP / 2; apart > 0; apart /= 2) {
        for (int lane = 0; lane < apart; lane++) {
          lanes[lane] += lanes[lane + apart];
        }
      }
      sum += lanes[0];
    }
    return sum;
  }
}
