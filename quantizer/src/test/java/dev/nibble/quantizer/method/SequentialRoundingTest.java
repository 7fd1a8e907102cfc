package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.HiddenStates;
import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.calibration.SequentialPass;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.calibration.TransformerBlock.Parameters;
import dev.nibble.quantizer.format.LinearRole;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SequentialRoundingTest {
  private static final Map<String, BlockRounding> ROUNDINGS =
      Map.of("gptq", Gptq.DEFAULT, "gptaq", Gptaq.DEFAULT, "clip", new ClipSearch());

  @ParameterizedTest
  @CsvSource({
    "llama3, W3A8KV4, gptq",
    "llama3, W4A16, clip",
    "qwen3, W3A16, gptaq",
    "opt, W3A8, gptq",
    "opt, W4A16, clip"
  })
  void knowsTheOutputsOfTheRoundedBlock(String model, String scheme, String rounding)
      throws IOException {
    try (SampleBlock sample = new SampleBlock(model)) {
      BlockTask task = sample.task(sample.block, scheme);
      QuantizedBlock made =
          new BlockRecipe("sample", List.of(), ROUNDINGS.get(rounding)).quantize(task);
      assertSame(
          sample.forward.run(made.effective(), made.precision(), sample.inputs),
          made.outputs().orElseThrow());
    }
  }

  /** Halves the linears of a site when it has been read, and compares with runs from the start. */
  @ParameterizedTest
  @ValueSource(strings = {"llama3", "qwen3", "opt"})
  void readsWhatTheLinearsBeforeHaveBecome(String model) throws IOException {
    try (SampleBlock sample = new SampleBlock(model)) {
      BlockPrecision precision = BlockPrecision.of(sample.task(sample.block, "W4A6").scheme());
      TransformerBlock block = sample.block.copy();
      SequentialPass pass = new SequentialPass(sample.forward, block, precision, sample.inputs);
      for (InputSite site : InputSite.values()) {
        List<float[]> found = new ArrayList<>();
        for (int w = 0; w < sample.inputs.windows(); w++) {
          pass.read(site, w, inputs -> found.add(inputs.clone()));
        }
        for (int w = 0; w < sample.inputs.windows(); w++) {
          float[] inputs = found.get(w);
          sample.forward.inputs(
              block,
              precision,
              sample.inputs.window(w),
              site,
              (at, raw, rounded) -> {
                if (at == site) {
                  assertArrayEquals(rounded, inputs, site + Draws.seed());
                }
              });
        }
        for (LinearRole role : block.roles()) {
          if (InputSite.of(role) == site) {
            float[] weight = block.linear(role).weight().clone();
            for (int i = 0; i < weight.length; i++) {
              weight[i] /= 2;
            }
            block.setLinear(role, new Parameters(weight, block.linear(role).bias()));
          }
        }
      }
      assertSame(sample.forward.run(block, precision, sample.inputs), pass.outputs());
    }
  }

  @Test
  void sitesAreReadInOrderAndOnce() throws IOException {
    try (SampleBlock sample = new SampleBlock("llama3")) {
      SequentialPass pass =
          new SequentialPass(sample.forward, sample.block, BlockPrecision.FULL, sample.inputs);
      assertThrows(IllegalStateException.class, () -> pass.read(InputSite.OUTPUT, 0, x -> {}));
      pass.read(InputSite.ATTENTION, 0, x -> {});
      assertThrows(IllegalStateException.class, () -> pass.read(InputSite.ATTENTION, 0, x -> {}));
      assertThrows(IllegalStateException.class, pass::outputs);
    }
  }

  private static void assertSame(HiddenStates expected, HiddenStates found) {
    for (int w = 0; w < expected.windows(); w++) {
      assertArrayEquals(expected.window(w), found.window(w), "window " + w + Draws.seed());
    }
  }
}
