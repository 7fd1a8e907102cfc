package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.BlockTrainer.Scope;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Progressive adaptive rounding (TesseraQ, Li and Panda 2024): in twenty rounds which way each
 * weight is rounded is learned, from the grid that another method found; before each round those
 * that are nearly decided are fixed, until none is left. The scales are learned beside them.
 *
 * @param steps steps of a round, each of four windows; upstream takes 250
 */
record ProgressiveRounding(int steps) {
  /** Twenty rounds of 32 steps: some tens of minutes for a model of 8 million weights. */
  static final int DEFAULT_STEPS = 32;

  /** Share of the weights still soft in each round. */
  private static final double[] SOFT_SHARES = {
    .8, .65, .5, .43, .38, .34, .3, .27, .24, .21, .18, .15, .12, .1, .08, .06, .04, .02, .01, .005
  };

  /** How far a rounding can move in all; upstream's 20 rounds of 250 steps of 1e-3. */
  private static final double TRAVEL = 5;

  private static final double SCALING_RATE = 1e-3;

  ProgressiveRounding {
    if (steps < 1) {
      throw new IllegalArgumentException("--par-steps " + steps + ": expected 1 or more");
    }
  }

  /** Adds what the result depends on. */
  void addTo(Map<String, String> settings) {
    settings.put("par_rounds", Integer.toString(SOFT_SHARES.length));
    settings.put("par_steps", Integer.toString(steps));
  }

  /**
   * Puts learned roundings in the place of the parametrizations of a training, and trains them.
   *
   * @param training whose parametrizations give the grids
   * @param block the block that it rounds
   * @param task the block's task
   */
  void train(BlockTraining training, TransformerBlock block, BlockTask task) {
    WorkerThreads workers = task.forward().workers();
    List<AdaptiveRounding> roundings = new ArrayList<>();
    for (LinearRole role : block.roles()) {
      float[] weight = block.linear(role).weight();
      AdaptiveRounding rounding =
          new AdaptiveRounding(weight, training.weight(role).freeze(weight), workers);
      roundings.add(rounding);
      training.set(role, rounding);
    }
    int total = Math.multiplyExact(SOFT_SHARES.length, steps);
    double rate = TRAVEL / total;
    int done = 0;
    for (double share : SOFT_SHARES) {
      workers.run(
          roundings.size(),
          (from, to, worker) ->
              roundings.subList(from, to).forEach(rounding -> rounding.harden(share)));
      for (int i = 0; i < steps; i++) {
        double loss = training.run(training.draw(), Scope.WEIGHTS);
        for (AdaptiveRounding rounding : roundings) {
          rounding.choices().step(rate, workers);
          rounding.scaling().step(SCALING_RATE, workers);
        }
        task.progress().step(++done, total, loss);
      }
    }
  }
}
