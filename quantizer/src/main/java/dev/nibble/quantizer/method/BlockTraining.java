package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.BlockTrainer;
import dev.nibble.quantizer.calibration.BlockTrainer.Scope;
import dev.nibble.quantizer.calibration.HiddenStates;
import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.calibration.TransformerBlock.Parameters;
import dev.nibble.quantizer.format.LinearRole;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;

/**
 * A block in training: how each of its linears is rounded, and the loss of its output with all of
 * them rounded, over batches of four windows of the quantized inputs.
 */
final class BlockTraining {
  /** Windows of a batch, at most. */
  static final int BATCH = 4;

  private final BlockTask task;
  private final TransformerBlock exact;
  private final TransformerBlock rounded;
  private final BlockPrecision precision;
  private final List<HiddenStates> targets;
  private final Map<LinearRole, WeightParametrization> weights = new EnumMap<>(LinearRole.class);
  private final Random random;
  private final int windows;
  private final int batch;

  /** Drives the passes over batches, and keeps the gradients of the last. */
  final BlockTrainer trainer;

  /**
   * Begins.
   *
   * @param task the block's task
   * @param exact the block to round; its arrays may change from step to step
   * @param targets outputs to come close to, one or more for each input
   */
  BlockTraining(BlockTask task, TransformerBlock exact, List<HiddenStates> targets) {
    this.task = task;
    this.exact = exact;
    this.targets = targets;
    rounded = exact.copy();
    precision = BlockPrecision.of(task.scheme());
    random = new Random(task.seed());
    windows = task.quantizedInputs().windows();
    batch = Math.min(BATCH, windows);
    trainer = new BlockTrainer(task, batch);
  }

  /** The full-precision model's outputs; at 2 bits and A4 also the block's own on these inputs. */
  static List<HiddenStates> targets(BlockTask task) {
    List<HiddenStates> targets = new ArrayList<>(List.of(task.targets()));
    if (task.scheme().weightBits() == 2 || task.scheme().activationBits() == 4) {
      targets.add(task.forward().run(task.block(), BlockPrecision.FULL, task.quantizedInputs()));
    }
    return targets;
  }

  /** Sets how a linear is rounded. */
  void set(LinearRole role, WeightParametrization weight) {
    weights.put(role, weight);
  }

  /** How a linear is rounded. */
  WeightParametrization weight(LinearRole role) {
    return Objects.requireNonNull(weights.get(role));
  }

  /** All windows in a new order, in batches of so many. */
  List<int[]> epoch(int size) {
    int[] order = shuffled();
    List<int[]> batches = new ArrayList<>();
    for (int from = 0; from < windows; from += size) {
      batches.add(Arrays.copyOfRange(order, from, Math.min(windows, from + size)));
    }
    return batches;
  }

  /** A batch drawn from all windows. */
  int[] draw() {
    return Arrays.copyOf(shuffled(), batch);
  }

  private int[] shuffled() {
    int[] order = new int[windows];
    for (int i = 0; i < windows; i++) {
      int other = random.nextInt(i + 1);
      order[i] = order[other];
      order[other] = i;
    }
    return order;
  }

  /**
   * Runs a batch forward and back, and fills the gradients of the parametrizations.
   *
   * @param some its windows
   * @param scope what is trained besides
   * @return the loss; gradients are divided by it
   */
  double run(int[] some, Scope scope) {
    copy(exact.attentionNorm(), rounded.attentionNorm());
    copy(exact.mlpNorm(), rounded.mlpNorm());
    for (LinearRole role : exact.roles()) {
      copyBias(exact.linear(role), rounded.linear(role));
      weight(role).round(exact.linear(role).weight(), rounded.linear(role).weight());
    }
    double loss = trainer.run(rounded, precision, task.quantizedInputs(), some, targets, scope);
    for (LinearRole role : exact.roles()) {
      weight(role).backward(exact.linear(role).weight(), trainer.weight(role));
    }
    return loss;
  }

  /** The codes of every linear. */
  Map<LinearRole, QuantizedLinear> freeze() {
    Map<LinearRole, QuantizedLinear> linears = new EnumMap<>(LinearRole.class);
    for (LinearRole role : exact.roles()) {
      linears.put(role, weight(role).freeze(exact.linear(role).weight()));
    }
    return linears;
  }

  private static void copy(Parameters from, Parameters to) {
    System.arraycopy(from.weight(), 0, to.weight(), 0, from.weight().length);
    copyBias(from, to);
  }

  private static void copyBias(Parameters from, Parameters to) {
    from.bias()
        .ifPresent(bias -> System.arraycopy(bias, 0, to.bias().orElseThrow(), 0, bias.length));
  }
}
