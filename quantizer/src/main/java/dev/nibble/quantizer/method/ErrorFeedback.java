package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.util.Arrays;

/**
 * Rounds the columns of a weight one after the other, and lets those that are not rounded yet make
 * up for the error: w_j -= e_i U_ij for j > i, where e_i = (w_i - q_i) / U_ii and U is the {@link
 * InverseFactor} of the inputs' Hessian (GPTQ, Frantar et al. 2022, algorithm 1). With a drift P
 * also w_j += w_i P_ij (GPTAQ, Li et al. 2025, algorithm 1).
 *
 * <p>Columns are worked in blocks, whose updates reach the columns after them when the block is
 * done. Every weight receives its updates in the same order, so the block's size changes no bit.
 */
final class ErrorFeedback {
  /** Rows that share a pass over U. */
  private static final int ROWS = 16;

  private final int[] order;
  private final double[] factor;
  private final double[] drift;
  private final GroupRange range;
  private final int block;

  /** When the range of a group of columns is taken. */
  enum GroupRange {
    /** Before any column is rounded. */
    STATIC,
    /** When its first column is, from the weights as they are then; needs the natural order. */
    DYNAMIC
  }

  /**
   * Creates an instance.
   *
   * @param order the columns, in the order in which they are rounded
   * @param factor U [n, n], in that order
   * @param drift P [n, n], in that order, or empty
   * @param range when the range of a group is taken
   * @param block columns of a block
   */
  ErrorFeedback(int[] order, double[] factor, double[] drift, GroupRange range, int block) {
    this.order = order;
    this.factor = factor;
    this.drift = drift;
    this.range = range;
    this.block = block;
  }

  /** Rounds the linears of a block as its scheme asks. */
  LinearRounding rounding(BlockTask task) {
    return (role, weights) ->
        round(weights, task.layout(role), task.scheme().symmetric(), task.forward().workers());
  }

  /**
   * Rounds a linear.
   *
   * @param weights [rows, columns]
   * @throws ArithmeticException if a scale is too large for fp16
   */
  QuantizedLinear round(
      float[] weights, PackedLayout layout, boolean symmetric, WorkerThreads workers) {
    QuantizedLinear linear =
        switch (range) {
          case STATIC -> NearestRounding.round(weights, layout, symmetric, workers);
          case DYNAMIC -> QuantizedLinear.empty(layout, symmetric);
        };
    Work[] work = new Work[workers.threads()];
    Arrays.setAll(work, i -> new Work(weights, linear, symmetric));
    workers.run(
        Math.ceilDiv(layout.rows(), ROWS),
        (from, to, worker) -> {
          for (int i = from; i < to; i++) {
            work[worker].rows(i * ROWS, Math.min(layout.rows(), (i + 1) * ROWS));
          }
        });
    return linear;
  }

  /** The memory of one thread, and its rows. */
  private final class Work {
    private final float[] weights;
    private final QuantizedLinear linear;
    private final WeightGrid grid;
    private final int n;
    private final int groups;
    private final int group;
    private final int step;
    private final double[] w;
    private final double[] errors;
    private final double[] values;

    Work(float[] weights, QuantizedLinear linear, boolean symmetric) {
      this.weights = weights;
      this.linear = linear;
      grid = WeightGrid.of(linear.layout(), symmetric);
      n = linear.layout().columns();
      groups = linear.layout().groups();
      group = linear.groupColumns();
      // A group whose range is yet to be taken must have received all updates.
      step = range == GroupRange.DYNAMIC ? Math.ceilDiv(block, group) * group : block;
      w = new double[Math.multiplyExact(ROWS, n)];
      errors = new double[w.length];
      values = new double[w.length];
    }

    void rows(int from, int to) {
      for (int row = from; row < to; row++) {
        for (int i = 0; i < n; i++) {
          w[(row - from) * n + i] = weights[row * n + order[i]];
        }
      }
      for (int first = 0; first < n; first += step) {
        int end = Math.min(n, first + step);
        for (int row = from; row < to; row++) {
          columns(row, (row - from) * n, first, end);
        }
        for (int at = 0; at < (to - from) * n; at += n) {
          for (int i = first; i < end; i++) {
            feed(at, i, end, n);
          }
        }
      }
    }

    /** Rounds the columns of a block in one row. */
    private void columns(int row, int at, int first, int end) {
      for (int i = first; i < end; i++) {
        if (range == GroupRange.DYNAMIC && i % group == 0) {
          takeRange(row, at, i);
        }
        int scale = row * groups + order[i] / group;
        float h = Float.float16ToFloat(linear.scales()[scale]);
        int zero = linear.zeros()[scale] & 0xff;
        double value = w[at + i];
        int code = grid.code((float) value, h, zero);
        linear.codes()[row * n + order[i]] = (byte) code;
        errors[at + i] = (value - (code - zero) * h) / factor[i * n + i];
        values[at + i] = value;
        feed(at, i, i + 1, end);
      }
    }

    /** Hands the error of column i on to columns [first, end). */
    private void feed(int at, int i, int first, int end) {
      double error = errors[at + i];
      int row = i * n;
      if (drift.length == 0) {
        for (int j = first; j < end; j++) {
          w[at + j] -= error * factor[row + j];
        }
      } else {
        double value = values[at + i];
        for (int j = first; j < end; j++) {
          w[at + j] -= error * factor[row + j] - value * drift[row + j];
        }
      }
    }

    private void takeRange(int row, int at, int first) {
      float min = 0;
      float max = 0;
      for (int i = first; i < Math.min(n, first + group); i++) {
        min = Math.min(min, (float) w[at + i]);
        max = Math.max(max, (float) w[at + i]);
      }
      int scale = row * groups + first / group;
      short half = grid.step(min, max);
      linear.scales()[scale] = half;
      linear.zeros()[scale] = (byte) grid.zero(min, Float.float16ToFloat(half));
    }
  }
}
