package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.calibration.HiddenStates;
import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.format.LinearRole;
import java.io.IOException;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RescalingTest {
  @ParameterizedTest
  @ValueSource(strings = {"llama3", "qwen3", "opt"})
  void keepsTheFunction(String model) throws IOException {
    try (SampleBlock sample = new SampleBlock(model)) {
      HiddenStates expected = sample.outputs(sample.block);
      double share = expected.meanSquaredError(sample.inputs);
      for (InputSite site : InputSite.values()) {
        TransformerBlock scaled = sample.block.copy();
        float[] s = scales(Rescaling.scales(scaled.config(), site));
        Rescaling.apply(scaled, site, s);
        double error = expected.meanSquaredError(sample.outputs(scaled));
        assertEquals(0, Math.sqrt(error / share), 1e-5, site + " " + Draws.seed());

        // One scale too many on the readers' side must show.
        LinearRole reader =
            scaled.roles().stream()
                .filter(role -> InputSite.of(role) == site)
                .reduce((first, last) -> last)
                .orElseThrow();
        float[] weight = scaled.linear(reader).weight();
        for (int i = 0; i < weight.length; i += site.width(scaled.config())) {
          weight[i] *= 2;
        }
        double wrong = expected.meanSquaredError(sample.outputs(scaled));
        assertTrue(Math.sqrt(wrong / share) > 1e-3, site + " " + wrong + " " + Draws.seed());
      }
    }
  }

  private static float[] scales(int count) {
    float[] s = new Draws().gaussian(count);
    for (int i = 0; i < count; i++) {
      s[i] = (float) Math.exp(s[i]);
    }
    return s;
  }
}
