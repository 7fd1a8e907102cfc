package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.util.Map;

/**
 * The clipping of AWQ (Lin et al. 2023): the range of every group of a row is cut by 0 to 45 per
 * cent, whichever makes the least squared error of the group's share of the output; then weights
 * are rounded to nearest. Queries and keys are not clipped. The error is d H d^T, H the sum of x^T
 * x over the whole calibration text, where the paper's code takes a sample of it; both ends of the
 * range are cut alike.
 */
record ClipSearch() implements BlockRounding {
  private static final RangeSearch RANGES = new RangeSearch(10, 0.05);

  @Override
  public Map<String, String> settings() {
    return Map.of("clip", Double.toString(RANGES.steps() * RANGES.step()));
  }

  @Override
  public RoundedLinears round(BlockTask task, TransformerBlock block) {
    WorkerThreads workers = task.forward().workers();
    boolean symmetric = task.scheme().symmetric();
    return SequentialRounding.round(
        task,
        block,
        (site, pass, windows) -> {
          int width = pass.width(site);
          InputProducts products = new InputProducts(width, workers);
          for (int w = 0; w < task.quantizedInputs().windows(); w++) {
            pass.read(site, w, products::addSquare);
            windows.done(w);
          }
          return (role, weights) ->
              switch (role) {
                case QUERY, KEY ->
                    NearestRounding.round(weights, task.layout(role), symmetric, workers);
                case VALUE, OUTPUT, GATE, UP, DOWN ->
                    RANGES.round(
                        weights,
                        task.layout(role),
                        symmetric,
                        (change, first, end) -> error(products.sums(), width, change, first, end),
                        workers);
              };
        });
  }

  /** d H d^T, of H [columns, columns] the upper half. */
  private static double error(double[] h, int columns, double[] change, int first, int end) {
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
