package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.BlockTrainer.Scope;
import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.format.Architecture;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * OmniQuant (Shao et al., ICLR 2024): learnable weight clipping and, where activations are
 * quantized or the model is OPT, learnable equivalent transformation, trained block by block by
 * AdamW to bring the block's output on the quantized inputs close to the full-precision model's; at
 * 2 bits and A4 also close to the full-precision block's on the same inputs. Everything is folded
 * into weights and norms in the end. Settings are upstream's, with the loss divided by its own
 * value and, where windows are many, batches of up to four of them: upstream takes one. What a
 * range can move is bounded by the steps, so an epoch has {@value #LEAST_STEPS} of them if it can.
 */
final class OmniQuant implements BlockMethod {
  private static final double CLIPPING_RATE = 1e-2;
  private static final double TRANSFORMATION_RATE = 5e-3;

  /** Steps of an epoch; batches are smaller where there are fewer. */
  private static final int LEAST_STEPS = 32;

  private static final double ALPHA = 0.5;
  private static final float SMALLEST_INITIAL = 1e-5f;

  private final int epochs;

  /** What follows on the grid that is found. */
  private final Optional<ProgressiveRounding> rounding;

  OmniQuant(int epochs) {
    this(epochs, Optional.empty());
  }

  private OmniQuant(int epochs, Optional<ProgressiveRounding> rounding) {
    if (epochs < 0) {
      throw new IllegalArgumentException("--epochs " + epochs + ": expected 0 or more");
    }
    this.epochs = epochs;
    this.rounding = rounding;
  }

  /** The same, followed by adaptive rounding on the grid it finds. */
  OmniQuant followedBy(ProgressiveRounding next) {
    return new OmniQuant(epochs, Optional.of(next));
  }

  @Override
  public String name() {
    return rounding.isEmpty() ? "omniquant" : "omniquant+par";
  }

  @Override
  public Map<String, String> settings() {
    Map<String, String> settings = new LinkedHashMap<>();
    settings.put("epochs", Integer.toString(epochs));
    settings.put("batch", Integer.toString(BlockTraining.BATCH));
    settings.put("least_steps", Integer.toString(LEAST_STEPS));
    settings.put("lwc_lr", Double.toString(CLIPPING_RATE));
    settings.put("let_lr", Double.toString(TRANSFORMATION_RATE));
    settings.put("alpha", Double.toString(ALPHA));
    rounding.ifPresent(next -> next.addTo(settings));
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

  /** Windows of a batch. */
  static int batch(int windows) {
    return Math.clamp(windows / LEAST_STEPS, 1, BlockTraining.BATCH);
  }

  /** One block's training. */
  private final class Training {
    private final BlockTask task;
    private final TransformerBlock block;
    private final WorkerThreads workers;
    private final @Nullable EquivalentTransformation transformation;

    /** After the transformation; the source itself when there is none. */
    private final TransformerBlock transformed;

    private final BlockTraining training;

    Training(BlockTask task) {
      this.task = task;
      block = task.block();
      workers = task.forward().workers();
      boolean transforms = transforms(block.config(), task.scheme());
      transformation = transforms ? smoothing() : null;
      transformed = transforms ? block.copy() : block;
      training = new BlockTraining(task, transformed, BlockTraining.targets(task));
      for (LinearRole role : block.roles()) {
        training.set(
            role,
            new LearnedClipping(
                task.layout(role), task.scheme().symmetric(), LearnedClipping.START, workers));
      }
    }

    QuantizedBlock run() {
      for (int epoch = 0; epoch < epochs; epoch++) {
        List<int[]> batches = training.epoch(batch(task.quantizedInputs().windows()));
        double sum = 0;
        for (int step = 0; step < batches.size(); step++) {
          sum += step(batches.get(step));
          task.progress()
              .step(
                  (long) epoch * batches.size() + step + 1,
                  (long) epochs * batches.size(),
                  sum / (step + 1));
        }
      }
      transform();
      rounding.ifPresent(next -> next.train(training, transformed, task));
      return QuantizedBlock.of(
          block,
          transformation == null ? block.copy() : transformed,
          training.freeze(),
          BlockPrecision.of(task.scheme()));
    }

    private double step(int[] batch) {
      transform();
      double loss = training.run(batch, transformation == null ? Scope.WEIGHTS : Scope.ALL);
      for (LinearRole role : block.roles()) {
        training.weight(role).parameters().forEach(p -> p.step(CLIPPING_RATE, workers));
      }
      if (transformation != null) {
        transformation.backward(training.trainer);
        transformation.parameters().forEach(p -> p.step(TRANSFORMATION_RATE, workers));
      }
      return loss;
    }

    /** Brings {@link #transformed} up to date. */
    private void transform() {
      if (transformation != null) {
        transformation.truncate();
        transformation.apply(transformed);
      }
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
      EquivalentTransformation start =
          new EquivalentTransformation(block, attention, value, mlp, workers);
      if (EquivalentTransformation.shifts(block)) {
        start.startShifts(
            ranges.middles(InputSite.ATTENTION),
            ranges.middles(InputSite.OUTPUT),
            ranges.middles(InputSite.MLP));
      }
      return start;
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
}
