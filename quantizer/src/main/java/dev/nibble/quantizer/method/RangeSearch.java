package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.tensor.WorkerThreads;

/**
 * Rounds weights to nearest, each group on the range, of those cut step by step, that loses least.
 *
 * @param steps ranges to try, the whole one first
 * @param step how much of the whole one each is narrower than the one before
 */
record RangeSearch(int steps, double step) {
  /** What rounding a group loses. */
  @FunctionalInterface
  interface Loss {
    /**
     * Measures it.
     *
     * @param change what rounding took from each weight of the group
     * @param first its first column
     * @param end one past its last
     */
    double of(double[] change, int first, int end);
  }

  /** Rounds a linear by the squared error of the weights, as AdaRound's paper does at first. */
  static QuantizedLinear leastSquares(
      float[] weights, PackedLayout layout, boolean symmetric, WorkerThreads workers) {
    return new RangeSearch(80, 0.01)
        .round(weights, layout, symmetric, RangeSearch::squares, workers);
  }

  private static double squares(double[] change, int first, int end) {
    double sum = 0;
    for (int i = 0; i < end - first; i++) {
      sum += change[i] * change[i];
    }
    return sum;
  }

  /**
   * Rounds a linear.
   *
   * @param weights [rows, columns]
   * @param loss what is to be least, of each group
   * @throws ArithmeticException if a scale is too large for fp16
   */
  QuantizedLinear round(
      float[] weights, PackedLayout layout, boolean symmetric, Loss loss, WorkerThreads workers) {
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
              WeightRange best = best(weights, row * columns, first, end, grid, loss, change);
              int at = row * layout.groups() + first / group;
              NearestRounding.round(
                  weights, row * columns + first, row * columns + end, best, grid, linear, at);
            }
          }
        });
    return linear;
  }

  private WeightRange best(
      float[] weights, int row, int first, int end, WeightGrid grid, Loss loss, double[] change) {
    WeightRange whole = WeightRange.of(weights, row + first, row + end);
    WeightRange best = whole;
    double least = Double.POSITIVE_INFINITY;
    for (int i = 0; i < steps; i++) {
      WeightRange range = whole.cutTo((float) (1 - i * step));
      float h = Float.float16ToFloat(grid.step(range.min(), range.max()));
      int zero = grid.zero(range.min(), h);
      for (int c = first; c < end; c++) {
        float weight = weights[row + c];
        change[c - first] = (double) weight - (grid.code(weight, h, zero) - zero) * h;
      }
      double found = loss.of(change, first, end);
      if (found < least) {
        least = found;
        best = range;
      }
    }
    return best;
  }
}
