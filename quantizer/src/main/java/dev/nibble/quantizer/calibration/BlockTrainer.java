package dev.nibble.quantizer.calibration;

import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import java.util.List;
import java.util.Optional;

/**
 * Loss of a block's output and its gradient, over batches of windows. The loss is the mean squared
 * error, summed over targets; gradients are those of the loss divided by its own value, so that
 * blocks of small activations train like others. The number of threads changes no bit. One thread
 * drives an instance.
 */
public final class BlockTrainer {
  private final ModelConfig config;
  private final int context;
  private final BlockPass pass;
  private final BlockGradient gradient;

  /** What is trained besides the linears' weights. */
  public enum Scope {
    /** Nothing: what only norms and biases need is left out. */
    WEIGHTS,
    /** Norms and biases. */
    ALL
  }

  /**
   * Creates a trainer.
   *
   * @param task the block's task
   * @param batch windows of a batch, at most
   */
  public BlockTrainer(BlockTask task, int batch) {
    config = task.block().config();
    context = task.forward().context();
    int reach = config.slidingWindows().get(task.block().layer());
    pass = new BlockPass(config, reach, context, batch, task.forward().workers());
    gradient = new BlockGradient(pass);
  }

  /**
   * Runs a batch forward and back.
   *
   * @param block the block as it computes: transformed, rounded
   * @param precision how its activations are rounded
   * @param inputs all windows' inputs
   * @param batch the windows to take
   * @param targets outputs to come close to, one or more for each input
   * @param scope what is trained
   * @return the loss; the gradients are divided by it
   */
  public double run(
      TransformerBlock block,
      BlockPrecision precision,
      HiddenStates inputs,
      int[] batch,
      List<HiddenStates> targets,
      Scope scope) {
    int width = context * config.hiddenSize();
    pass.workers.run(
        batch.length,
        (from, to, worker) -> {
          for (int i = from; i < to; i++) {
            System.arraycopy(inputs.window(batch[i]), 0, pass.x, i * width, width);
          }
        });
    int rows = batch.length * context;
    pass.forward(block, precision, rows, null);
    double loss = squaredErrors(batch, width, targets);
    long count = (long) batch.length * width;
    if (loss > 0) {
      // d(sum / count) / (sum / count): the counts cancel.
      float factor = (float) (2 / loss);
      pass.workers.run(rows, (from, to, worker) -> fillGradient(batch, from, to, targets, factor));
      gradient.backward(block, precision, rows, scope);
    }
    return loss / count;
  }

  /** Summed over targets and windows; each window's is one chain. */
  private double squaredErrors(int[] batch, int width, List<HiddenStates> targets) {
    double[] errors = new double[targets.size() * batch.length];
    pass.workers.run(
        errors.length,
        (from, to, worker) -> {
          for (int item = from; item < to; item++) {
            int i = item % batch.length;
            float[] target = targets.get(item / batch.length).window(batch[i]);
            errors[item] = squaredError(target, pass.y, i * width);
          }
        });
    double sum = 0;
    for (double error : errors) {
      sum += error;
    }
    return sum;
  }

  private static double squaredError(float[] target, float[] y, int at) {
    double sum = 0;
    for (int i = 0; i < target.length; i++) {
      double d = (double) y[at + i] - target[i];
      sum += d * d;
    }
    return sum;
  }

  /** The gradient of some rows of the output. */
  private void fillGradient(
      int[] batch, int from, int to, List<HiddenStates> targets, float factor) {
    int width = config.hiddenSize();
    for (int row = from; row < to; row++) {
      int window = batch[row / context];
      int at = row * width;
      int in = row % context * width;
      float[] first = targets.getFirst().window(window);
      for (int i = 0; i < width; i++) {
        gradient.dy[at + i] = factor * (pass.y[at + i] - first[in + i]);
      }
      for (int t = 1; t < targets.size(); t++) {
        float[] target = targets.get(t).window(window);
        for (int i = 0; i < width; i++) {
          gradient.dy[at + i] += factor * (pass.y[at + i] - target[in + i]);
        }
      }
    }
  }

  /**
   * Gradient of a linear's weights.
   *
   * @param role which
   * @return [out, in], live until the next batch; may be written to
   */
  public float[] weight(LinearRole role) {
    return gradient.weight(role);
  }

  /**
   * Gradient of a linear's bias, under {@link Scope#ALL}.
   *
   * @param role which
   * @return one a channel, or empty for a linear without bias
   */
  public Optional<float[]> bias(LinearRole role) {
    return gradient.bias(role);
  }

  /**
   * Gradient of the attention norm's weights, under {@link Scope#ALL}.
   *
   * @return one a channel
   */
  public float[] attentionNorm() {
    return gradient.attentionNorm;
  }

  /**
   * Gradient of the attention norm's bias, under {@link Scope#ALL}.
   *
   * @return one a channel, whether there is a bias or not
   */
  public float[] attentionNormBias() {
    return gradient.attentionNormBias;
  }

  /**
   * Gradient of the MLP norm's weights, under {@link Scope#ALL}.
   *
   * @return one a channel
   */
  public float[] mlpNorm() {
    return gradient.mlpNorm;
  }

  /**
   * Gradient of the MLP norm's bias, under {@link Scope#ALL}.
   *
   * @return one a channel, whether there is a bias or not
   */
  public float[] mlpNormBias() {
    return gradient.mlpNormBias;
  }
}
