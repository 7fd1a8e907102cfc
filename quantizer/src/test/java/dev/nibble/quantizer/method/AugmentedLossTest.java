package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.BlockTrainer.Scope;
import dev.nibble.quantizer.calibration.HiddenStates;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.method.CalibratedQuantizer.Calibration;
import dev.nibble.quantizer.method.CalibratedQuantizer.Interrupted;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import dev.nibble.quantizer.method.FolderQuantizer.LinearError;
import dev.nibble.quantizer.method.FolderQuantizer.Request;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * OmniQuant's augmented loss: at 2 bits and A4 a block is also brought close to what the
 * full-precision block makes of the quantized inputs.
 */
class AugmentedLossTest {
  private static final int EPOCHS = 40;

  @ParameterizedTest
  @CsvSource({"W2A16g64, 2", "W2A8, 2", "W4A4KV4, 2", "W3A16, 1", "W4A6, 1"})
  void isTakenAtTwoBitsAndFourBitInputs(String scheme, int targets) throws IOException {
    try (SampleBlock sample = new SampleBlock("llama3")) {
      BlockTask task = drifted(sample, scheme, 0.3f);
      List<HiddenStates> found = BlockTraining.targets(task);
      assertEquals(targets, found.size());
      assertArrayEquals(task.targets().window(0), found.getFirst().window(0));
      if (targets == 2) {
        float[] own =
            sample.forward.run(task.block(), BlockPrecision.FULL, task.quantizedInputs()).window(1);
        assertArrayEquals(own, found.getLast().window(1));
        assertNotEquals(own[0], task.targets().window(1)[0]);
      }
    }
  }

  /** Gradients are divided by the loss: multiplied by it, those of both targets add up. */
  @ParameterizedTest
  @ValueSource(strings = {"llama3", "opt"})
  void bothTargetsAddUp(String model) throws IOException {
    try (SampleBlock sample = new SampleBlock(model)) {
      BlockTask task = drifted(sample, "W2A16g32", 0.3f);
      List<HiddenStates> both = BlockTraining.targets(task);
      int[] batch = {0, 2};
      Step sum = step(task, both, batch);
      Step full = step(task, both.subList(0, 1), batch);
      Step own = step(task, both.subList(1, 2), batch);
      assertEquals(full.loss + own.loss, sum.loss, 1e-6 * sum.loss);
      double off = 0;
      double offWithoutOne = 0;
      double norm = 0;
      for (int i = 0; i < sum.gradient.length; i++) {
        double expected = full.gradient[i] * full.loss + own.gradient[i] * own.loss;
        double found = sum.gradient[i] * sum.loss;
        off += Math.pow(found - expected, 2);
        offWithoutOne += Math.pow(found - full.gradient[i] * full.loss, 2);
        norm += Math.pow(expected, 2);
      }
      assertTrue(off < 1e-8 * norm, off + " of " + norm);
      assertTrue(offWithoutOne > 1e-2 * norm, "one target alone is not the sum of both");
    }
  }

  /** The block's own output is come closer to, and that of the full model hardly less. */
  @Test
  void bringsTheBlockCloserToItsOwnOutput() throws IOException {
    try (SampleBlock sample = new SampleBlock("llama3")) {
      BlockTask task = drifted(sample, "W2A16g32", 0.3f);
      List<HiddenStates> both = BlockTraining.targets(task);
      HiddenStates without = trained(task, both.subList(0, 1));
      HiddenStates with = trained(task, both);
      double own = both.getLast().meanSquaredError(with);
      double before = both.getLast().meanSquaredError(without);
      assertTrue(own < before, own + " with it, " + before + " without");
      double full = both.getFirst().meanSquaredError(with);
      double fullBefore = both.getFirst().meanSquaredError(without);
      assertTrue(full < 1.02 * fullBefore, full + " with it, " + fullBefore + " without");
    }
  }

  @Tag("acceptance")
  @Tag("calibrated")
  @ParameterizedTest
  @ValueSource(longs = {0, 1, 2})
  void isNoWorseOnAModel(long seed, @TempDir Path folder) throws IOException {
    double with = lastLoss(BlockTraining::targets, seed, folder.resolve("with"));
    double without = lastLoss(task -> List.of(task.targets()), seed, folder.resolve("without"));
    double wrong = lastLoss(task -> List.of(task.fullInputs()), seed, folder.resolve("wrong"));
    assertTrue(with <= 1.02 * without, with + " with it, " + without + " without");
    assertTrue(wrong > 1.02 * without, wrong + " with the inputs as target");
  }

  /** What a batch gives. */
  private static final class Step {
    final double loss;
    final float[] gradient;

    Step(double loss, float[] gradient) {
      this.loss = loss;
      this.gradient = gradient;
    }
  }

  private static Step step(BlockTask task, List<HiddenStates> targets, int[] batch) {
    BlockTraining training = training(task, targets);
    double loss = training.run(batch, Scope.WEIGHTS);
    return new Step(loss, training.trainer.weight(LinearRole.VALUE).clone());
  }

  private static BlockTraining training(BlockTask task, List<HiddenStates> targets) {
    BlockTraining training = new BlockTraining(task, task.block(), targets);
    for (LinearRole role : task.block().roles()) {
      training.set(
          role,
          new LearnedClipping(
              task.layout(role),
              task.scheme().symmetric(),
              LearnedClipping.START,
              task.forward().workers()));
    }
    return training;
  }

  private static QuantizedBlock train(BlockTask task, List<HiddenStates> targets, int epochs) {
    BlockTraining training = training(task, targets);
    for (int epoch = 0; epoch < epochs; epoch++) {
      for (int[] batch : training.epoch(BlockTraining.BATCH)) {
        training.run(batch, Scope.WEIGHTS);
        for (LinearRole role : task.block().roles()) {
          for (Parameter parameter : training.weight(role).parameters()) {
            parameter.step(1e-2, task.forward().workers());
          }
        }
      }
    }
    return QuantizedBlock.of(
        task.block(), task.block().copy(), training.freeze(), BlockPrecision.of(task.scheme()));
  }

  private static HiddenStates trained(BlockTask task, List<HiddenStates> targets) {
    QuantizedBlock made = train(task, targets, EPOCHS);
    return task.forward().run(made.effective(), made.precision(), task.quantizedInputs());
  }

  /** A task whose quantized inputs are some way off the full-precision ones. */
  private static BlockTask drifted(SampleBlock sample, String scheme, float by) {
    BlockTask task = sample.task(sample.block, scheme);
    float[][] moved = new float[task.fullInputs().windows()][];
    for (int w = 0; w < moved.length; w++) {
      float[] window = task.fullInputs().window(w);
      float[] other = task.fullInputs().window((w + 1) % moved.length);
      moved[w] = new float[window.length];
      for (int i = 0; i < window.length; i++) {
        moved[w][i] = window[i] + by * other[i];
      }
    }
    return new BlockTask(
        task.block(),
        task.scheme(),
        task.fullInputs(),
        new HiddenStates(moved),
        task.targets(),
        task.forward(),
        task.seed(),
        task.progress());
  }

  /** Of the default model's last block, clipping trained towards some targets. */
  private static double lastLoss(
      Function<BlockTask, List<HiddenStates>> targets, long seed, Path destination)
      throws IOException {
    Path runtime = Path.of(System.getProperty("project.root"), "runtime");
    double[] last = new double[1];
    CalibratedQuantizer.quantize(
        new Request(
            runtime.resolve("models/books-8m"),
            destination,
            QuantScheme.parse("W2A16g64"),
            Existing.KEEP,
            2),
        new Clipping(targets),
        new Calibration(
            runtime.resolve("src/test/resources/text/calibration.txt"),
            32,
            128,
            seed,
            Interrupted.DISCARD),
        new CalibratedQuantizer.Listener() {
          @Override
          public void step(int block, int blocks, long done, long total, double loss) {}

          @Override
          public void blockDone(int block, int blocks, double loss) {
            last[0] = loss;
          }

          @Override
          public void progress(String tensor, long doneBytes, long totalBytes) {}

          @Override
          public void quantized(LinearError linear) {}
        });
    return last[0];
  }

  /** Clipping towards given targets. */
  private record Clipping(Function<BlockTask, List<HiddenStates>> targets) implements BlockMethod {
    @Override
    public String name() {
      return "clipping";
    }

    @Override
    public Map<String, String> settings() {
      return Map.of();
    }

    @Override
    public void check(ModelConfig config, QuantScheme scheme) {}

    @Override
    public QuantizedBlock quantize(BlockTask task) {
      return train(task, targets.apply(task), 10);
    }
  }
}
