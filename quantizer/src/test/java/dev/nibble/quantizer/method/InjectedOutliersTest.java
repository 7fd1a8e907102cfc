package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.TransformerBlock;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Outliers put into a block without changing its function: who undoes them, and who cannot. */
class InjectedOutliersTest {
  private static final List<BlockTransformation> NONE = List.of();
  private static final List<BlockTransformation> SMOOTH = List.of(new SmoothQuant(0.5));
  private static final List<BlockTransformation> AWQ = List.of(new AwqScaling());
  private static final BlockRounding NEAREST = new NearestBlocks();

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
    float[] scales = new float[Rescaling.scales(block.config(), site)];
    Arrays.fill(scales, 1);
    for (int i = 0; i < 4; i++) {
      scales[i * scales.length / 4 + 1] = s;
    }
    Rescaling.apply(block, site, scales);
  }
}
