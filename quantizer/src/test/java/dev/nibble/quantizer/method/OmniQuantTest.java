package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.calibration.BlockForward;
import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.BlockTrainer;
import dev.nibble.quantizer.calibration.HiddenStates;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.calibration.TransformerBlock.Parameters;
import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.io.IOException;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class OmniQuantTest {
  private static final long SEED = Long.getLong("tests.seed", 20_261_122L);
  private static final String HINT = "-Dtests.seed=" + SEED;
  private static final int CONTEXT = 24;
  private static final int WINDOWS = 6;

  @ParameterizedTest
  @ValueSource(strings = {"llama3", "qwen3", "opt"})
  void transformationKeepsTheFunction(String model) throws IOException {
    TransformerBlock block = load(model);
    try (WorkerThreads workers = new WorkerThreads(2)) {
      BlockForward forward = new BlockForward(block.config(), CONTEXT, workers);
      HiddenStates x = random(block, 1);
      TransformerBlock transformed = block.copy();
      transformation(block, workers).apply(transformed);
      float[] expected = forward.run(block, BlockPrecision.FULL, x).window(0);
      float[] found = forward.run(transformed, BlockPrecision.FULL, x).window(0);
      assertTrue(distance(expected, found, x.window(0)) < 1e-5, HINT);

      int width = block.config().hiddenSize();
      scaleRow(transformed.linear(LinearRole.QUERY), width, 0.5f);
      scaleRow(transformed.linear(LinearRole.KEY), width, 2);
      float[] untied = forward.run(transformed, BlockPrecision.FULL, x).window(0);
      boolean turns = block.config().rope().isPresent() || block.queryNorm().isPresent();
      double moved = distance(expected, untied, x.window(0));
      assertTrue(turns == moved > 1e-4, moved + " when one channel of a RoPE pair is scaled alone");
    }
  }

  /** What is taken from channels must be given back, and v's scales belong to its rows. */
  @Test
  void shiftsOrColumnsOfOneLinearAloneChangeTheFunction() throws IOException {
    TransformerBlock block = load("opt");
    try (WorkerThreads workers = new WorkerThreads(2)) {
      BlockForward forward = new BlockForward(block.config(), CONTEXT, workers);
      HiddenStates x = random(block, 1);
      float[] expected = forward.run(block, BlockPrecision.FULL, x).window(0);
      for (LinearRole role : List.of(LinearRole.VALUE, LinearRole.OUTPUT, LinearRole.UP)) {
        TransformerBlock transformed = block.copy();
        transformation(block, workers).apply(transformed);
        float[] bias = transformed.linear(role).bias().orElseThrow();
        System.arraycopy(block.linear(role).bias().orElseThrow(), 0, bias, 0, bias.length);
        float[] found = forward.run(transformed, BlockPrecision.FULL, x).window(0);
        double moved = distance(expected, found, x.window(0));
        assertTrue(moved > 1e-2, role + " " + moved + ", " + HINT);
      }
      TransformerBlock transformed = block.copy();
      EquivalentTransformation transformation = transformation(block, workers);
      transformation.apply(transformed);
      float[] rows = block.linear(LinearRole.VALUE).weight();
      float[] wrong = transformed.linear(LinearRole.VALUE).weight();
      int width = block.config().hiddenSize();
      for (int i = 0; i < wrong.length; i++) {
        wrong[i] =
            rows[i]
                * transformation.attention.value[i % width]
                / transformation.value.value[i % width];
      }
      float[] found = forward.run(transformed, BlockPrecision.FULL, x).window(0);
      assertTrue(distance(expected, found, x.window(0)) > 1e-2, HINT);
    }
  }

  /** Channels far from 0: shifts bring them back, scales alone cannot. */
  @Test
  void shiftsHelpWhereChannelsLieFarFromZero() throws IOException {
    try (SampleBlock sample = new SampleBlock("opt")) {
      TransformerBlock far = sample.block.copy();
      float[] bias = far.attentionNorm().bias().orElseThrow();
      for (int i = 0; i < bias.length; i++) {
        bias[i] += i % 2 == 0 ? 4 : -4;
      }
      double nearest = sample.error(far, "W8A4", List.of(), new NearestBlocks());
      BlockTask task = sample.task(far, "W8A4");
      QuantizedBlock made = new OmniQuant(0).quantize(task);
      HiddenStates found = sample.forward.run(made.effective(), made.precision(), sample.inputs);
      double share = task.targets().meanSquaredError(sample.inputs);
      double shifted = Math.sqrt(task.targets().meanSquaredError(found) / share);
      assertTrue(shifted < 0.7 * nearest, shifted + " against " + nearest + ", " + HINT);
    }
  }

  /** Scales the outputs of the second row. */
  private static void scaleRow(Parameters linear, int width, float by) {
    for (int i = 0; i < width; i++) {
      linear.weight()[width + i] *= by;
    }
    linear.bias().ifPresent(bias -> bias[1] *= by);
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama3", "qwen3", "opt"})
  void transformationHasNoGradientWhereNothingIsRounded(String model) throws IOException {
    TransformerBlock block = load(model);
    try (WorkerThreads workers = new WorkerThreads(2)) {
      BlockTask task = task(block, "W4A4", workers);
      EquivalentTransformation transformation = transformation(block, workers);
      TransformerBlock transformed = block.copy();
      transformation.apply(transformed);
      BlockTrainer trainer = new BlockTrainer(task, 2);
      int[] batch = {0, 1};
      List<HiddenStates> targets = List.of(random(block, 5));
      trainer.run(
          transformed,
          BlockPrecision.FULL,
          task.fullInputs(),
          batch,
          targets,
          BlockTrainer.Scope.ALL);
      transformation.backward(trainer);
      double exact = norm(transformation.parameters());
      trainer.run(
          transformed,
          BlockPrecision.of(QuantScheme.parse("W4A4Q4KV4")),
          task.fullInputs(),
          batch,
          targets,
          BlockTrainer.Scope.ALL);
      transformation.backward(trainer);
      double rounded = norm(transformation.parameters());
      assertTrue(exact < 1e-4 * rounded, exact + " against " + rounded + ", " + HINT);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "llama3, W3A16",
    "llama3, W2A16g64",
    "llama3, W4A4Q4KV4",
    "qwen3, W4A6KV4",
    "opt, W3A16g32sym",
    "opt, W4A4Q4KV4"
  })
  void trainingBringsTheOutputCloser(String model, String scheme) throws IOException {
    TransformerBlock block = load(model);
    float[] before = block.linear(LinearRole.UP).weight().clone();
    QuantizedBlock[] made = new QuantizedBlock[2];
    for (int threads = 1; threads <= 2; threads++) {
      try (WorkerThreads workers = new WorkerThreads(threads)) {
        BlockTask task = task(block, scheme, workers);
        made[threads - 1] = new OmniQuant(40).quantize(task);
        double untrained = loss(task, new OmniQuant(0).quantize(task));
        double trained = loss(task, made[threads - 1]);
        assertTrue(trained < 0.99 * untrained, trained + " after " + untrained + ", " + HINT);
      }
    }
    assertArrayEquals(before, block.linear(LinearRole.UP).weight(), "the source stays as it is");
    for (LinearRole role : block.roles()) {
      assertArrayEquals(
          made[0].effective().linear(role).weight(),
          made[1].effective().linear(role).weight(),
          "1 and 2 threads: " + role);
    }
    assertEquals(made[0].tensors().size(), made[1].tensors().size());
  }

  @ParameterizedTest
  @CsvSource({"llama3, W3A16", "llama3, W2A16g64", "opt, W4A4Q4KV4"})
  void adaptiveRoundingGoesBelowClippingAlone(String model, String scheme) throws IOException {
    TransformerBlock block = load(model);
    try (WorkerThreads workers = new WorkerThreads(2)) {
      BlockTask task = task(block, scheme, workers);
      OmniQuant clipping = new OmniQuant(20);
      double before = loss(task, clipping.quantize(task));
      double after = loss(task, clipping.followedBy(new ProgressiveRounding(6)).quantize(task));
      assertTrue(after < 0.9 * before, after + " after " + before + ", " + HINT);
    }
  }

  @ParameterizedTest
  @CsvSource({"1, 1", "31, 1", "32, 1", "63, 1", "64, 2", "127, 3", "128, 4", "1000, 4"})
  void fewWindowsAreTakenInSmallBatches(int windows, int batch) {
    assertEquals(batch, OmniQuant.batch(windows));
  }

  @Test
  void refusesWeightsOf16Bits() throws IOException {
    ModelConfig config = load("llama3").config();
    OmniQuant method = new OmniQuant(1);
    assertThrows(
        IllegalArgumentException.class, () -> method.check(config, QuantScheme.parse("W16A16KV4")));
    assertThrows(IllegalArgumentException.class, () -> new OmniQuant(-1));
  }

  private static double loss(BlockTask task, QuantizedBlock made) {
    return task.targets()
        .meanSquaredError(
            task.forward().run(made.effective(), made.precision(), task.quantizedInputs()));
  }

  private static BlockTask task(TransformerBlock block, String scheme, WorkerThreads workers) {
    BlockForward forward = new BlockForward(block.config(), CONTEXT, workers);
    HiddenStates x = random(block, WINDOWS);
    return new BlockTask(
        block,
        QuantScheme.parse(scheme),
        x,
        x,
        forward.run(block, BlockPrecision.FULL, x),
        forward,
        SEED,
        (done, total, loss) -> {});
  }

  private static EquivalentTransformation transformation(
      TransformerBlock block, WorkerThreads workers) {
    ModelConfig config = block.config();
    Random random = new Random(SEED);
    EquivalentTransformation transformation =
        new EquivalentTransformation(
            block,
            new float[config.hiddenSize()],
            new float[config.rows(LinearRole.VALUE)],
            new float[config.hiddenSize()],
            workers);
    for (Parameter parameter : transformation.parameters()) {
      for (int i = 0; i < parameter.value.length; i++) {
        parameter.value[i] = (float) Math.exp(random.nextGaussian());
      }
    }
    return transformation;
  }

  private static double norm(List<Parameter> parameters) {
    double sum = 0;
    for (Parameter parameter : parameters) {
      for (float g : parameter.gradient) {
        sum += (double) g * g;
      }
    }
    return Math.sqrt(sum);
  }

  private static HiddenStates random(TransformerBlock block, int windows) {
    Random random = new Random(SEED + windows);
    float[][] x = new float[windows][CONTEXT * block.config().hiddenSize()];
    for (float[] window : x) {
      for (int i = 0; i < window.length; i++) {
        window[i] = (float) random.nextGaussian();
      }
    }
    return new HiddenStates(x);
  }

  /** Relative to what the block adds to its input. */
  private static double distance(float[] expected, float[] found, float[] x) {
    double error = 0;
    double norm = 0;
    for (int i = 0; i < x.length; i++) {
      error += Math.pow(expected[i] - found[i], 2);
      norm += Math.pow(expected[i] - x[i], 2);
    }
    return Math.sqrt(error / norm);
  }

  private static TransformerBlock load(String model) throws IOException {
    try (Checkpoint checkpoint = Checkpoint.open(FolderQuantizerTest.tiny(model))) {
      return TransformerBlock.load(checkpoint, checkpoint.config(), 1);
    }
  }
}
