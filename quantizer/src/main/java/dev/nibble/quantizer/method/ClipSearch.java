package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.util.Arrays;
import java.util.Map;

/**
 * The clipping of AWQ (Lin et al. 2023): the range of every group of a row is cut by 0 to 45 per
 * cent, whichever makes the least squared error of the group's share of the output; then weights
 * are rounded to nearest. Queries and keys are not clipped. The error is d H d^T, H the sum of x^T
 * x over the whole calibration text, where the paper's code takes a sample of it; both ends of the
 * range are cut alike.
 */
record ClipSearch() implements BlockRounding {
  private static final int STEPS = 10;
  private static final double STEP = 0.05;

  @Override
  public Map<String, String> settings() {
    return Map.of("clip", Double.toString(STEPS * STEP));
  }

  @Override
  public RoundedLinears round(BlockTask task, TransformerBlock block) {
    WorkerThreads workers = task.forward().workers();
    boolean symmetric = task.scheme().symmetric();
    return SequentialRounding.round(
        task,
        block,
        (site, pass, windows) -> {
          InputProducts products = new InputProducts(pass.width(site), workers);
          for (int w = 0; w < task.quantizedInputs().windows(); w++) {
            pass.read(site, w, products::addSquare);
            windows.done(w);
          }
          return (role, weights) ->
              switch (role) {
                case QUERY, KEY ->
                    NearestRounding.round(weights, task.layout(role), symmetric, workers);
                case VALUE, OUTPUT, GATE, UP, DOWN ->
                    clip(weights, products.sums(), task.layout(role), symmetric, workers);
              };
        });
  }

  /**
   * Rounds a linear.
   *
   * @param weights [rows, columns]
   * @param h [columns, columns], its upper half
   */
  static QuantizedLinear clip(
      float[] weights, double[] h, PackedLayout layout, boolean symmetric, WorkerThreads workers) {
    QuantizedLinear linear = QuantizedLinear.empty(layout, symmetric);
    WeightGrid grid = WeightGrid.of(layout, symmetric);
    int columns = layout.columns();
    int group = linear.groupColumns();
    workers.run(
        layout.rows(),
        (from, to, worker) -> {
          double[] change = new double[Math.min(group, columns)];
          for (int row = from; row < to; row++) {
            for (int first = 0; first < columns; first += group) {
              int end = Math.min(columns, first + group);
              clip(weights, h, row, first, end, grid, linear, change);
            }
          }
        });
    return linear;
  }

  private static void clip(
      float[] weights,
      double[] h,
      int row,
      int first,
      int end,
      WeightGrid grid,
      QuantizedLinear linear,
      double[] change) {
    int columns = linear.layout().columns();
    int at = row * columns;
    float min = 0;
    float max = 0;
    for (int i = first; i < end; i++) {
      min = Math.min(min, weights[at + i]);
      max = Math.max(max, weights[at + i]);
    }
    double least = Double.POSITIVE_INFINITY;
    byte[] best = new byte[end - first];
    int scale = row * linear.layout().groups() + first / linear.groupColumns();
    for (int step = 0; step < STEPS; step++) {
      float share = (float) (1 - step * STEP);
      short half = grid.step(min * share, max * share);
      float width = Float.float16ToFloat(half);
      int zero = grid.zero(min * share, width);
      for (int i = first; i < end; i++) {
        int code = grid.code(weights[at + i], width, zero);
        linear.codes()[at + i] = (byte) code;
        change[i - first] = (double) weights[at + i] - (code - zero) * width;
      }
      double error = error(h, columns, first, end, change);
      if (error < least) {
        least = error;
        linear.scales()[scale] = half;
        linear.zeros()[scale] = (byte) zero;
        best = Arrays.copyOfRange(linear.codes(), at + first, at + end);
      }
    }
    System.arraycopy(best, 0, linear.codes(), at + first, best.length);
  }

  private static double error(double[] h, int columns, int first, int end, double[] change) {
    double error = 0;
    for (int i = first; i < end; i++) {
      double own = change[i - first];
      double others = 0;
      for (int j = i + 1; j < end; j++) {
        others += h[i * columns + j] * change[j - first];
      }
      error += own * (own * h[i * columns + i] + 2 * others);
    }
    return error;
  }
}
