package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.BlockTrainer;
import dev.nibble.quantizer.calibration.BlockTrainer.Scope;
import dev.nibble.quantizer.calibration.HiddenStates;
import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.calibration.TransformerBlock.Parameters;
import dev.nibble.quantizer.format.Architecture;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/**
 * OmniQuant (Shao et al., ICLR 2024): learnable weight clipping and, where activations are
 * quantized or the model is OPT, learnable equivalent transformation, trained block by block by
 * AdamW to bring the block's output on the quantized inputs close to the full-precision model's; at
 * 2 bits and A4 also close to the full-precision block's on the same inputs. Everything is folded
 * into weights and norms in the end. Settings are upstream's, with batches of four windows and the
 * loss divided by its own value.
 */
final class OmniQuant implements BlockMethod {
  private static final int BATCH = 4;
  private static final double CLIPPING_RATE = 1e-2;
  private static final double TRANSFORMATION_RATE = 5e-3;
  private static final double ALPHA = 0.5;
  private static final float SMALLEST_INITIAL = 1e-5f;

  /** Share of the weights still soft in each round of adaptive rounding (TesseraQ). */
  private static final double[] SOFT_SHARES = {
    .8, .65, .5, .43, .38, .34, .3, .27, .24, .21, .18, .15, .12, .1, .08, .06, .04, .02, .01, .005
  };

  /** How far a rounding can move in all; upstream's 20 rounds of 250 steps of 1e-3. */
  private static final double ROUNDING_TRAVEL = 5;

  private static final double SCALING_RATE = 1e-3;

  private final int epochs;

  /** Steps of a round of adaptive rounding; 0 leaves it out. */
  private final int roundSteps;

  OmniQuant(int epochs) {
    this(epochs, 0);
  }

  private OmniQuant(int epochs, int roundSteps) {
    if (epochs < 0) {
      throw new IllegalArgumentException("--epochs " + epochs + ": expected 0 or more");
    }
    this.epochs = epochs;
    this.roundSteps = roundSteps;
  }

  /** The same, followed by adaptive rounding on the grid it finds. */
  OmniQuant withAdaptiveRounding(int stepsOfARound) {
    if (stepsOfARound < 1) {
      throw new IllegalArgumentException("steps " + stepsOfARound + ": expected 1 or more");
    }
    return new OmniQuant(epochs, stepsOfARound);
  }

  @Override
  public String name() {
    return roundSteps == 0 ? "omniquant" : "omniquant+par";
  }

  @Override
  public Map<String, String> settings() {
    Map<String, String> settings = new LinkedHashMap<>();
    settings.put("epochs", Integer.toString(epochs));
    settings.put("batch", Integer.toString(BATCH));
    settings.put("lwc_lr", Double.toString(CLIPPING_RATE));
    settings.put("let_lr", Double.toString(TRANSFORMATION_RATE));
    settings.put("alpha", Double.toString(ALPHA));
    if (roundSteps > 0) {
      settings.put("par_rounds", Integer.toString(SOFT_SHARES.length));
      settings.put("par_steps", Integer.toString(roundSteps));
    }
    return settings;
  }

  @Override
  public void check(ModelConfig config, QuantScheme scheme) {
    if (!scheme.quantizesWeights()) {
      throw new IllegalArgumentException(
          "--method omniquant: scheme "
              + scheme
              + " keeps weights at 16 bits; it can do weights of 2, 3, 4, 6 and 8 bits");
    }
  }

  /** Whether the transformation is trained. Clipping alone is as good for LLaMA's weights. */
  private static boolean transforms(ModelConfig config, QuantScheme scheme) {
    return scheme.quantizesActivations()
        || scheme.queryBits() < 16
        || scheme.kvBits() < 16
        || config.architecture() == Architecture.OPT;
  }

  @Override
  public QuantizedBlock quantize(BlockTask task) {
    return new Training(task).run();
  }

  /** One block's training. */
  private final class Training {
    private final BlockTask task;
    private final TransformerBlock block;
    private final BlockPrecision precision;
    private final WorkerThreads workers;
    private final @Nullable EquivalentTransformation transformation;
    private final Map<LinearRole, WeightParametrization> weights = new EnumMap<>(LinearRole.class);

    /** After the transformation; the source itself when there is none. */
    private final TransformerBlock transformed;

    /** After rounding. */
    private final TransformerBlock rounded;

    Training(BlockTask task) {
      this.task = task;
      block = task.block();
      precision = BlockPrecision.of(task.scheme());
      workers = task.forward().workers();
      boolean transforms = transforms(block.config(), task.scheme());
      transformation = transforms ? smoothing() : null;
      transformed = transforms ? block.copy() : block;
      rounded = block.copy();
      for (LinearRole role : block.roles()) {
        weights.put(
            role,
            new LearnedClipping(
                task.layout(role), task.scheme().symmetric(), LearnedClipping.START, workers));
      }
    }

    QuantizedBlock run() {
      int windows = task.quantizedInputs().windows();
      int batch = Math.min(BATCH, windows);
      List<HiddenStates> targets = targets();
      BlockTrainer trainer = new BlockTrainer(task, batch);
      Random random = new Random(task.seed());
      int steps = Math.ceilDiv(windows, batch);
      for (int epoch = 0; epoch < epochs; epoch++) {
        int[] order = shuffled(windows, random);
        double sum = 0;
        for (int step = 0; step < steps; step++) {
          int[] some =
              Arrays.copyOfRange(order, step * batch, Math.min(windows, (step + 1) * batch));
          sum += step(trainer, some, targets);
          task.progress()
              .step((long) epoch * steps + step + 1, (long) epochs * steps, sum / (step + 1));
        }
      }
      if (roundSteps > 0) {
        adaptRounding(trainer, targets, random);
      }
      return freeze();
    }

    /** The transformation stays as it is now; each weight learns which way to round. */
    private void adaptRounding(BlockTrainer trainer, List<HiddenStates> targets, Random random) {
      transform();
      Map<LinearRole, AdaptiveRounding> roundings = new EnumMap<>(LinearRole.class);
      for (LinearRole role : block.roles()) {
        float[] source = transformed.linear(role).weight();
        roundings.put(role, new AdaptiveRounding(source, weight(role).freeze(source), workers));
      }
      weights.putAll(roundings);
      int windows = task.quantizedInputs().windows();
      int batch = Math.min(BATCH, windows);
      double rate = ROUNDING_TRAVEL / (SOFT_SHARES.length * roundSteps);
      int total = SOFT_SHARES.length * roundSteps;
      int done = 0;
      for (double share : SOFT_SHARES) {
        roundings.values().forEach(rounding -> rounding.harden(share));
        for (int i = 0; i < roundSteps; i++) {
          int[] some = Arrays.copyOf(shuffled(windows, random), batch);
          double loss = forwardAndBack(trainer, some, targets, Scope.WEIGHTS);
          for (AdaptiveRounding rounding : roundings.values()) {
            rounding.parameters().getFirst().step(rate);
            rounding.parameters().getLast().step(SCALING_RATE);
          }
          task.progress().step(++done, total, loss);
        }
      }
    }

    private List<HiddenStates> targets() {
      List<HiddenStates> targets = new ArrayList<>(List.of(task.targets()));
      if (task.scheme().weightBits() == 2 || task.scheme().activationBits() == 4) {
        targets.add(task.forward().run(block, BlockPrecision.FULL, task.quantizedInputs()));
      }
      return targets;
    }

    private double step(BlockTrainer trainer, int[] batch, List<HiddenStates> targets) {
      transform();
      double loss =
          forwardAndBack(
              trainer, batch, targets, transformation == null ? Scope.WEIGHTS : Scope.ALL);
      for (LinearRole role : block.roles()) {
        weight(role).parameters().forEach(p -> p.step(CLIPPING_RATE));
      }
      if (transformation != null) {
        transformation.backward(trainer);
        transformation.parameters().forEach(p -> p.step(TRANSFORMATION_RATE));
      }
      return loss;
    }

    private double forwardAndBack(
        BlockTrainer trainer, int[] batch, List<HiddenStates> targets, Scope scope) {
      for (LinearRole role : block.roles()) {
        weight(role).round(transformed.linear(role).weight(), rounded.linear(role).weight());
      }
      double loss = trainer.run(rounded, precision, task.quantizedInputs(), batch, targets, scope);
      for (LinearRole role : block.roles()) {
        weight(role).backward(transformed.linear(role).weight(), trainer.weight(role));
      }
      return loss;
    }

    /** Brings {@link #transformed}, and the norms and biases of {@link #rounded}, up to date. */
    private void transform() {
      if (transformation == null) {
        return;
      }
      transformation.truncate();
      transformation.apply(transformed);
      copy(transformed.attentionNorm(), rounded.attentionNorm());
      copy(transformed.mlpNorm(), rounded.mlpNorm());
      for (LinearRole role : block.roles()) {
        copyBias(transformed.linear(role), rounded.linear(role));
      }
    }

    private QuantizedBlock freeze() {
      transform();
      Map<LinearRole, QuantizedLinear> linears = new EnumMap<>(LinearRole.class);
      for (LinearRole role : block.roles()) {
        linears.put(role, weight(role).freeze(transformed.linear(role).weight()));
      }
      return QuantizedBlock.of(
          block, transformation == null ? block.copy() : transformed, linears, precision);
    }

    private WeightParametrization weight(LinearRole role) {
      return Objects.requireNonNull(weights.get(role));
    }

    /** Scales as SmoothQuant's: max|x|^alpha / max|w|^(1 - alpha), of q, o and up. */
    private EquivalentTransformation smoothing() {
      ActivationRanges ranges = new ActivationRanges(task);
      ModelConfig config = block.config();
      float[] attention = initial(ranges.of(InputSite.ATTENTION), columnMaxima(LinearRole.QUERY));
      float[] mlp = initial(ranges.of(InputSite.MLP), columnMaxima(LinearRole.UP));
      float[] value =
          initial(
              sharedMaxima(config, ranges.of(InputSite.OUTPUT)),
              sharedMaxima(config, columnMaxima(LinearRole.OUTPUT)));
      return new EquivalentTransformation(block, attention, value, mlp, workers);
    }

    private float[] columnMaxima(LinearRole role) {
      float[] maxima = new float[block.config().columns(role)];
      float[] weight = block.linear(role).weight();
      for (int i = 0; i < weight.length; i++) {
        int column = i % maxima.length;
        maxima[column] = Math.max(maxima[column], Math.abs(weight[i]));
      }
      return maxima;
    }
  }

  /** Channels of o's input by the channel of v that they come from. */
  private static float[] sharedMaxima(ModelConfig config, float[] x) {
    int headDim = config.headDim();
    int group = config.heads() / config.kvHeads();
    float[] maxima = new float[config.kvHeads() * headDim];
    for (int i = 0; i < x.length; i++) {
      int at = i / headDim / group * headDim + i % headDim;
      maxima[at] = Math.max(maxima[at], x[i]);
    }
    return maxima;
  }

  private static float[] initial(float[] activations, float[] weights) {
    float[] scales = new float[activations.length];
    for (int i = 0; i < scales.length; i++) {
      double x = Math.max(SMALLEST_INITIAL, activations[i]);
      double w = Math.max(SMALLEST_INITIAL, weights[i]);
      scales[i] = (float) Math.max(SMALLEST_INITIAL, Math.pow(x, ALPHA) / Math.pow(w, 1 - ALPHA));
    }
    return scales;
  }

  private static int[] shuffled(int count, Random random) {
    int[] order = new int[count];
    for (int i = 0; i < count; i++) {
      int other = random.nextInt(i + 1);
      order[i] = order[other];
      order[other] = i;
    }
    return order;
  }

  private static void copy(Parameters from, Parameters to) {
    System.arraycopy(from.weight(), 0, to.weight(), 0, from.weight().length);
    copyBias(from, to);
  }

  private static void copyBias(Parameters from, Parameters to) {
    Optional<float[]> bias = from.bias();
    if (bias.isPresent()) {
      System.arraycopy(bias.get(), 0, to.bias().orElseThrow(), 0, bias.get().length);
    }
  }
}
