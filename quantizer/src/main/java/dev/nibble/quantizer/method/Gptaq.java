package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.SequentialPass;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * GPTAQ (Li et al. 2025): GPTQ that aims at the outputs of the full-precision model instead of
 * those for the quantized model's inputs. The difference of the two inputs, d = x_full - x, enters
 * as the drift P = strength triu_1(D U^T) U with D = sum d^T x.
 *
 * <p>A column hands on its value as it is when it is rounded, inside a block and beyond; the
 * paper's code takes the rounded one beyond, so that its result depends on the block's size.
 *
 * @param columns the order of columns, the ranges and the damping
 * @param strength share of the drift that is made up for
 */
record Gptaq(Gptq columns, double strength) implements BlockRounding {
  /** As the paper's code. */
  static final Gptaq DEFAULT = new Gptaq(Gptq.DEFAULT, 0.25);

  @Override
  public Map<String, String> settings() {
    Map<String, String> settings = new LinkedHashMap<>(columns.settings());
    settings.put("drift", Double.toString(strength));
    return settings;
  }

  @Override
  public RoundedLinears round(BlockTask task, TransformerBlock block) {
    WorkerThreads workers = task.forward().workers();
    SequentialPass exact =
        new SequentialPass(task.forward(), block, BlockPrecision.FULL, task.fullInputs());
    return SequentialRounding.round(
        task,
        block,
        (site, pass, windows) -> {
          int width = pass.width(site);
          InputProducts hessian = new InputProducts(width, workers);
          InputProducts differences = new InputProducts(width, workers);
          float[] difference = new float[Math.multiplyExact(task.forward().context(), width)];
          for (int w = 0; w < task.quantizedInputs().windows(); w++) {
            exact.read(site, w, x -> System.arraycopy(x, 0, difference, 0, difference.length));
            pass.read(
                site,
                w,
                x -> {
                  hessian.addSquare(x);
                  for (int i = 0; i < difference.length; i++) {
                    difference[i] -= x[i];
                  }
                  differences.add(difference, x);
                });
            windows.done(w);
          }
          int[] order = columns.columns(hessian.sums(), width);
          double[] factor = Gptq.factor(hessian.sums(), order, workers);
          double[] drift = drift(differences.sums(), order, factor, workers);
          return new ErrorFeedback(order, factor, drift, columns.range(), Gptq.BLOCK)
              .rounding(task);
        });
  }

  /**
   * P in the order of the columns.
   *
   * @param differences D [n, n]
   * @param order the columns
   * @param factor U [n, n]
   */
  double[] drift(double[] differences, int[] order, double[] factor, WorkerThreads workers) {
    int n = order.length;
    double[] drift = new double[factor.length];
    workers.run(
        n,
        (from, to, worker) -> {
          double[] own = new double[n];
          for (int i = from; i < to; i++) {
            for (int j = 0; j < n; j++) {
              own[j] = differences[order[i] * n + order[j]];
            }
            driftRow(own, factor, i, drift);
          }
        });
    return drift;
  }

  /** Row i of P, from row i of D. */
  private void driftRow(double[] own, double[] factor, int i, double[] drift) {
    int n = own.length;
    for (int k = i + 1; k < n; k++) {
      double sum = 0;
      for (int j = k; j < n; j++) {
        sum += own[j] * factor[k * n + j];
      }
      double share = strength * sum;
      for (int j = k; j < n; j++) {
        drift[i * n + j] += share * factor[k * n + j];
      }
    }
  }
}
