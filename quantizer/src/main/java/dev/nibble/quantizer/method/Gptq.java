package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.method.ErrorFeedback.GroupRange;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * GPTQ (Frantar et al. 2022): rounds a weight's columns one after the other and corrects the rest,
 * by the Hessian of the linear's squared output error on the calibration text.
 *
 * <p>The inputs are those that the quantized blocks before leave, rounded as the scheme rounds
 * them. A channel that is always 0 is rounded to nearest, where the paper's code sets its weights
 * to 0.
 *
 * @param order the order of the columns
 * @param range when the range of a group is taken
 */
record Gptq(ColumnOrder order, GroupRange range) implements BlockRounding {
  private static final double DAMPING = 0.01;

  /** Columns of a block; changes speed only. */
  static final int BLOCK = 128;

  /** The order in which columns are rounded. */
  enum ColumnOrder {
    /** As they are stored. */
    NATURAL,
    /** The largest inputs first. */
    ACTIVATION
  }

  /** What the code of the paper calls act-order with static groups. */
  static final Gptq DEFAULT = new Gptq(ColumnOrder.ACTIVATION, GroupRange.STATIC);

  Gptq {
    if (order == ColumnOrder.ACTIVATION && range == GroupRange.DYNAMIC) {
      throw new IllegalArgumentException("groups lie in the natural order: ranges must be static");
    }
  }

  @Override
  public Map<String, String> settings() {
    Map<String, String> settings = new LinkedHashMap<>();
    settings.put("damping", Double.toString(DAMPING));
    settings.put("order", order.name().toLowerCase(Locale.ROOT));
    settings.put("groups", range.name().toLowerCase(Locale.ROOT));
    return settings;
  }

  @Override
  public boolean followsFullPrecision() {
    return false;
  }

  @Override
  public RoundedLinears round(BlockTask task, TransformerBlock block) {
    WorkerThreads workers = task.forward().workers();
    return SequentialRounding.round(
        task,
        block,
        (site, pass, windows) -> {
          InputProducts hessian = new InputProducts(pass.width(site), workers);
          for (int w = 0; w < task.quantizedInputs().windows(); w++) {
            pass.read(site, w, hessian::addSquare);
            windows.done(w);
          }
          int[] columns = columns(hessian.sums(), pass.width(site));
          double[] factor = factor(hessian.sums(), columns, workers);
          ErrorFeedback feedback = new ErrorFeedback(columns, factor, new double[0], range, BLOCK);
          return feedback.rounding(task);
        });
  }

  /** The columns in their order, by the diagonal of the Hessian. */
  int[] columns(double[] hessian, int n) {
    return switch (order) {
      case NATURAL -> IntStream.range(0, n).toArray();
      case ACTIVATION ->
          IntStream.range(0, n)
              .boxed()
              .sorted(Comparator.comparingDouble(i -> -hessian[i * n + i]))
              .mapToInt(i -> i)
              .toArray();
    };
  }

  /** U of the damped Hessian, its upper half given, in the order of the columns. */
  static double[] factor(double[] hessian, int[] columns, WorkerThreads workers) {
    int n = columns.length;
    double trace = 0;
    for (int i = 0; i < n; i++) {
      trace += hessian[i * n + i];
    }
    double damping = DAMPING * trace / n;
    double[] ordered = new double[hessian.length];
    for (int i = 0; i < n; i++) {
      for (int j = i; j < n; j++) {
        int row = Math.min(columns[i], columns[j]);
        int column = Math.max(columns[i], columns[j]);
        ordered[i * n + j] = hessian[row * n + column];
      }
      double own = ordered[i * n + i];
      ordered[i * n + i] = own == 0 ? 1 + damping : own + damping;
    }
    return InverseFactor.of(ordered, n, workers);
  }
}
