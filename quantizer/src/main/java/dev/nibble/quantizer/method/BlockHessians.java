package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.method.ErrorFeedback.GroupRange;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.Map;
import java.util.Objects;
import java.util.stream.IntStream;

/**
 * x^T x of the inputs of a block's linears over the calibration windows. The block has its own
 * weights, its inputs are those that the quantized blocks before it leave.
 */
final class BlockHessians {
  private static final int BLOCK = 128;

  private final BlockTask task;
  private final Map<InputSite, double[]> sums = new EnumMap<>(InputSite.class);

  /** Runs the windows with inputs rounded as the precision says. */
  BlockHessians(BlockTask task, BlockPrecision precision) {
    this.task = task;
    Map<InputSite, InputProducts> products = new EnumMap<>(InputSite.class);
    for (InputSite site : InputSite.values()) {
      int width = site.width(task.block().config());
      products.put(site, new InputProducts(width, task.forward().workers()));
    }
    int windows = task.quantizedInputs().windows();
    for (int w = 0; w < windows; w++) {
      task.forward()
          .inputs(
              task.block(),
              precision,
              task.quantizedInputs().window(w),
              InputSite.DOWN,
              (site, raw, rounded) ->
                  Objects.requireNonNull(products.get(site)).addSquare(rounded));
      task.progress().step(w + 1, windows, Double.NaN);
    }
    products.forEach((site, product) -> sums.put(site, product.sums()));
  }

  /** The sums of a site, what is on or above the diagonal; live. */
  double[] of(InputSite site) {
    return Objects.requireNonNull(sums.get(site));
  }

  /** The sums as reordered inputs in other units have them. */
  static double[] transformed(double[] sums, int[] order, float[] units) {
    int n = order.length;
    double[] transformed = new double[sums.length];
    for (int i = 0; i < n; i++) {
      for (int j = i; j < n; j++) {
        int row = Math.min(order[i], order[j]);
        int column = Math.max(order[i], order[j]);
        transformed[i * n + j] = sums[row * n + column] / ((double) units[i] * units[j]);
      }
    }
    return transformed;
  }

  /** Rounds weights by GPTQ with act-order and static groups, on inputs with these sums. */
  Rounding rounding(double[] hessian, int channels) {
    int[] columns =
        IntStream.range(0, channels)
            .boxed()
            .sorted(Comparator.comparingDouble(i -> -hessian[i * channels + i]))
            .mapToInt(i -> i)
            .toArray();
    double[] factor = Gptq.factor(hessian, columns, task.forward().workers());
    return new Rounding(
        columns,
        factor,
        new ErrorFeedback(columns, factor, new double[0], GroupRange.STATIC, BLOCK));
  }

  /** Rounds the linears of a site. */
  final class Rounding {
    private final int[] columns;
    private final double[] factor;
    private final ErrorFeedback feedback;

    private Rounding(int[] columns, double[] factor, ErrorFeedback feedback) {
      this.columns = columns;
      this.factor = factor;
      this.feedback = feedback;
    }

    /** The codes of weights [rows, columns]. */
    QuantizedLinear round(float[] weight, PackedLayout layout) {
      return feedback.round(weight, layout, task.scheme().symmetric(), task.forward().workers());
    }

    /** What an error of a channel costs, up to a factor: 1 / U_jj^2, one a channel. */
    double[] sensitivities() {
      int n = columns.length;
      double[] sensitivities = new double[n];
      for (int i = 0; i < n; i++) {
        sensitivities[columns[i]] = 1 / (factor[i * n + i] * factor[i * n + i]);
      }
      return sensitivities;
    }
  }
}
