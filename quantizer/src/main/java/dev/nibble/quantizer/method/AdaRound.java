package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.BlockTrainer.Scope;
import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.format.LinearRole;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * AdaRound, "Up or Down? Adaptive Rounding for Post-Training Quantization", Nagel et al. 2020,
 * trained block by block as in BRECQ, Li et al. 2021: which way each weight is rounded is learned
 * by AdamW, so that the block's output on the quantized inputs comes close to the full-precision
 * model's. After a warm-up a regularizer, late at first and then earlier and earlier, draws every
 * weight to a decision. Scales stay those of {@link RangeSearch}.
 *
 * <p>The papers take 20,000 steps of 1e-3; here as many as the epochs give, of a size that lets a
 * rounding travel {@value #TRAVEL} in all. BRECQ's weights by the Fisher information are left out.
 *
 * @param epochs passes over the calibration windows
 */
record AdaRound(int epochs) implements BlockRounding {
  static final int DEFAULT_EPOCHS = 20;
  private static final double TRAVEL = 10;

  /** Where steps are few: a weight must not be decided by one of them. */
  private static final double LARGEST_STEP = 0.1;

  private static final double WARM_UP = 0.2;
  private static final double FIRST_BETA = 20;
  private static final double LAST_BETA = 2;

  /** What a weight's indecision counts, as in the papers; the loss is divided by its own value. */
  private static final double DECISIVENESS = 0.01;

  AdaRound {
    if (epochs < 0) {
      throw new IllegalArgumentException("--epochs " + epochs + ": expected 0 or more");
    }
  }

  @Override
  public Map<String, String> settings() {
    Map<String, String> settings = new LinkedHashMap<>();
    settings.put("epochs", Integer.toString(epochs));
    settings.put("batch", Integer.toString(BlockTraining.BATCH));
    settings.put("decisiveness", Double.toString(DECISIVENESS));
    settings.put("ranges", "least squares");
    return settings;
  }

  @Override
  public RoundedLinears round(BlockTask task, TransformerBlock block) {
    BlockTraining training = new BlockTraining(task, block, BlockTraining.targets(task));
    Map<LinearRole, AdaptiveRounding> roundings = new EnumMap<>(LinearRole.class);
    for (LinearRole role : block.roles()) {
      float[] weight = block.linear(role).weight();
      QuantizedLinear grid =
          RangeSearch.leastSquares(
              weight, task.layout(role), task.scheme().symmetric(), task.forward().workers());
      AdaptiveRounding rounding = new AdaptiveRounding(weight, grid, task.forward().workers());
      roundings.put(role, rounding);
      training.set(role, rounding);
    }
    int batches = Math.ceilDiv(task.quantizedInputs().windows(), BlockTraining.BATCH);
    int total = Math.multiplyExact(epochs, batches);
    int done = 0;
    for (int epoch = 0; epoch < epochs; epoch++) {
      for (int[] batch : training.epoch(BlockTraining.BATCH)) {
        double loss = training.run(batch, Scope.WEIGHTS);
        double share = ((double) done / total - WARM_UP) / (1 - WARM_UP);
        for (AdaptiveRounding rounding : roundings.values()) {
          if (share >= 0) {
            double beta = FIRST_BETA + (LAST_BETA - FIRST_BETA) * share;
            rounding.addDecisiveness(DECISIVENESS, beta);
          }
          rounding.choices().step(Math.min(LARGEST_STEP, TRAVEL / total), task.forward().workers());
        }
        task.progress().step(++done, total, loss);
      }
    }
    return new RoundedLinears(training.freeze());
  }
}
