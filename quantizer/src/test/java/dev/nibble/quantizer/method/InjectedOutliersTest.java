package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Outliers put into a block without changing its function: who undoes them, and who cannot. */
class InjectedOutliersTest {
  private static final List<BlockTransformation> NONE = List.of();
  private static final List<BlockTransformation> SMOOTH = List.of(new SmoothQuant(0.5));
  private static final List<BlockTransformation> AWQ = List.of(new AwqScaling());
  private static final BlockRounding NEAREST = new NearestBlocks();

  /** Untrained: where its transformation starts. */
  private static final BlockMethod OMNIQUANT = new OmniQuant(0);

  @ParameterizedTest
  @CsvSource({"llama3, 30", "llama3, 100", "opt, 30", "opt, 100"})
  void smoothingUndoesActivationOutliersOfTheNorms(String model, float c) throws IOException {
    try (SampleBlock sample = new SampleBlock(model)) {
      TransformerBlock loud = sample.block.copy();
      inject(loud, InputSite.ATTENTION, 1 / c);
      inject(loud, InputSite.MLP, 1 / c);
      double plain = sample.error(sample.block, "W4A4", SMOOTH, NEAREST);
      double nearest = sample.error(loud, "W4A4", NONE, NEAREST);
      double smoothed = sample.error(loud, "W4A4", SMOOTH, NEAREST);
      assertTrue(nearest > 1.5 * plain, nearest + " and " + plain);
      assertEquals(plain, smoothed, 0.02 * plain);
    }
  }

  @ParameterizedTest
  @CsvSource({"llama3, 30", "llama3, 100", "opt, 30", "opt, 100"})
  void weightOutliersAreUndoneByScalesAndNotByGptq(String model, float c) throws IOException {
    try (SampleBlock sample = new SampleBlock(model)) {
      TransformerBlock loud = sample.block.copy();
      inject(loud, InputSite.ATTENTION, c);
      inject(loud, InputSite.MLP, c);
      double plain = sample.error(sample.block, "W4A16", SMOOTH, NEAREST);
      double nearest = sample.error(loud, "W4A16", NONE, NEAREST);
      double gptq = sample.error(loud, "W4A16", NONE, Gptq.DEFAULT);
      double smoothed = sample.error(loud, "W4A16", SMOOTH, NEAREST);
      double awq = sample.error(loud, "W4A16", AWQ, NEAREST);
      assertTrue(nearest > 1.5 * plain, nearest + " and " + plain);
      assertTrue(gptq > 1.5 * plain, gptq + " and " + plain);
      assertEquals(plain, smoothed, 0.02 * plain);
      assertTrue(awq < 0.8 * nearest, awq + " and " + nearest);
    }
  }

  /** Weights are hurt less than inputs: the loud channels' columns round to 0. */
  @ParameterizedTest
  @CsvSource({"llama3, 30", "llama3, 100", "opt, 30", "opt, 100"})
  void activationOutliersHurtInputsMost(String model, float c) throws IOException {
    try (SampleBlock sample = new SampleBlock(model)) {
      TransformerBlock loud = sample.block.copy();
      inject(loud, InputSite.ATTENTION, 1 / c);
      inject(loud, InputSite.MLP, 1 / c);
      double inputs = sample.error(loud, "W8A4", NONE, NEAREST);
      double plainInputs = sample.error(sample.block, "W8A4", NONE, NEAREST);
      double weights = sample.error(loud, "W4A16", NONE, NEAREST);
      double plainWeights = sample.error(sample.block, "W4A16", NONE, NEAREST);
      String found = inputs + " of " + plainInputs + ", " + weights + " of " + plainWeights;
      assertTrue(inputs > 2 * plainInputs, found);
      assertTrue(weights > 1.02 * plainWeights && weights < 2 * plainWeights, found);
    }
  }

  /** OmniQuant's transformation starts where SmoothQuant's would be. */
  @ParameterizedTest
  @CsvSource({"llama3, 0.01", "llama3, 100", "opt, 0.01", "opt, 100"})
  void theTransformationUndoesOutliersOfTheNorms(String model, float c) throws IOException {
    try (SampleBlock sample = new SampleBlock(model)) {
      TransformerBlock loud = sample.block.copy();
      inject(loud, InputSite.ATTENTION, c);
      inject(loud, InputSite.MLP, c);
      double plain = sample.error(sample.block, "W4A4", OMNIQUANT);
      double nearest = sample.error(loud, "W4A4", NONE, NEAREST);
      assertTrue(nearest > 1.5 * plain, nearest + " and " + plain);
      assertEquals(plain, sample.error(loud, "W4A4", OMNIQUANT), 0.05 * plain);
    }
  }

  /** Clipping alone, learned or searched, gets back a part of it at most. */
  @ParameterizedTest
  @CsvSource({"8, 0.97", "100, 1.02"})
  void clippingRecoversWeightOutliersInPart(float c, double most) throws IOException {
    try (SampleBlock sample = new SampleBlock("llama3")) {
      TransformerBlock loud = sample.block.copy();
      inject(loud, InputSite.ATTENTION, c);
      inject(loud, InputSite.MLP, c);
      double plain = sample.error(sample.block, "W4A16", NONE, NEAREST);
      double nearest = sample.error(loud, "W4A16", NONE, NEAREST);
      double searched = sample.error(loud, "W4A16", NONE, new ClipSearch());
      double learned = sample.error(loud, "W4A16", new OmniQuant(60));
      String found = plain + ", " + nearest + ", " + searched + ", " + learned;
      assertTrue(searched < most * nearest && searched > 1.2 * plain, found);
      assertTrue(learned < most * nearest && learned > 1.2 * plain, found);
    }
  }

  /** Loud values: the inputs of o at 4 bits fail, and so does the cache; the v to o place helps. */
  @ParameterizedTest
  @CsvSource({"llama3, W8A4", "llama3, W8A16KV4", "opt, W8A4", "opt, W8A16KV4"})
  void theTransformationReachesValues(String model, String scheme) throws IOException {
    try (SampleBlock sample = new SampleBlock(model)) {
      TransformerBlock loud = sample.block.copy();
      inject(loud, InputSite.OUTPUT, 1 / 100f);
      double plain = sample.error(sample.block, scheme, OMNIQUANT);
      double smoothed = sample.error(loud, scheme, SMOOTH, NEAREST);
      assertTrue(smoothed > 1.2 * plain, smoothed + " and " + plain);
      assertEquals(plain, sample.error(loud, scheme, OMNIQUANT), 0.1 * plain);
    }
  }

  /**
   * Between the MLP's linears OmniQuant has no place; clusters of the inputs reach it, here a whole
   * cluster of loud channels.
   */
  @ParameterizedTest
  @ValueSource(strings = {"llama3", "opt"})
  void clustersReachWhatTheTransformationDoesNot(String model) throws IOException {
    try (SampleBlock sample = new SampleBlock(model)) {
      TransformerBlock loud = sample.block.copy();
      inject(loud, InputSite.DOWN, 1 / 100f, 32);
      double learned = sample.error(loud, "W8A4", new OmniQuant(40));
      double learnedPlain = sample.error(sample.block, "W8A4", new OmniQuant(40));
      double clusters = sample.error(loud, "W8A4g32", new Rptq(32));
      double plain = sample.error(sample.block, "W8A4g32", new Rptq(32));
      double one = sample.error(loud, "W8A4g32", new Rptq(1));
      String found =
          learned + " of " + learnedPlain + ", " + clusters + " of " + plain + ", one " + one;
      assertTrue(learned > 1.2 * learnedPlain, found);
      assertTrue(clusters < 1.2 * plain, found);
      assertTrue(one > 1.5 * clusters, found);
    }
  }

  /** A loud pair of keys and quiet queries: the cache fails, and the shared scale learns it. */
  @Test
  void theScaleOfQueriesAndKeysIsLearned() throws IOException {
    try (SampleBlock sample = new SampleBlock("llama3");
        WorkerThreads workers = new WorkerThreads(1)) {
      ModelConfig config = sample.block.config();
      float[] ones = filled(config.hiddenSize());
      EquivalentTransformation injection =
          new EquivalentTransformation(
              sample.block, ones, filled(config.rows(LinearRole.VALUE)), ones, workers);
      for (int head = 0; head < config.kvHeads(); head++) {
        injection.key.value[head * config.headDim() / 2 + 1] = 5;
      }
      TransformerBlock loud = sample.block.copy();
      injection.apply(loud);
      double plain = sample.error(sample.block, "W8A16KV4", NONE, NEAREST);
      double nearest = sample.error(loud, "W8A16KV4", NONE, NEAREST);
      double start = sample.error(loud, "W8A16KV4", OMNIQUANT);
      double learned = sample.error(loud, "W8A16KV4", new OmniQuant(200));
      String found = plain + ", " + nearest + ", " + start + ", " + learned;
      assertTrue(nearest > 1.2 * plain, found);
      assertTrue(learned < 0.8 * start, found);
    }
  }

  private static float[] filled(int count) {
    float[] ones = new float[count];
    Arrays.fill(ones, 1);
    return ones;
  }

  @ParameterizedTest
  @CsvSource({"llama3, OUTPUT", "llama3, DOWN", "opt, OUTPUT", "opt, DOWN"})
  void awqReachesPlacesThatSmoothQuantDoesNot(String model, InputSite site) throws IOException {
    try (SampleBlock sample = new SampleBlock(model)) {
      TransformerBlock loud = sample.block.copy();
      inject(loud, site, 1 / 100f);
      double plain = sample.error(sample.block, "W8A4", AWQ, NEAREST);
      double smoothed = sample.error(loud, "W8A4", SMOOTH, NEAREST);
      double awq = sample.error(loud, "W8A4", AWQ, NEAREST);
      assertTrue(smoothed > 1.2 * plain, smoothed + " and " + plain);
      assertTrue(awq < smoothed, awq + " and " + smoothed);
    }
  }

  /** Multiplies four channels by 1 / s where they are made, and their readers' columns by s. */
  private static void inject(TransformerBlock block, InputSite site, float s) {
    inject(block, site, s, 4);
  }

  private static void inject(TransformerBlock block, InputSite site, float s, int channels) {
    float[] scales = new float[Rescaling.scales(block.config(), site)];
    Arrays.fill(scales, 1);
    for (int i = 0; i < channels; i++) {
      scales[i * scales.length / channels + 1] = s;
    }
    Rescaling.apply(block, site, scales);
  }
}
