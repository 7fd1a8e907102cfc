package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.calibration.HiddenStates;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.format.LinearRole;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class OutlierSuppressionTest {
  private static final List<BlockTransformation> SUPPRESS = List.of(new OutlierSuppression());

  @ParameterizedTest
  @ValueSource(strings = {"llama3", "opt"})
  void keepsTheFunction(String model) throws IOException {
    try (SampleBlock sample = new SampleBlock(model)) {
      TransformerBlock loud = sample.block.copy();
      loud.attentionNorm().weight()[5] *= 20;
      HiddenStates expected = sample.outputs(loud);
      TransformerBlock made = loud.copy();
      new OutlierSuppression().apply(sample.task(loud, "W4A4"), made);
      double share = expected.meanSquaredError(sample.inputs);
      double error = expected.meanSquaredError(sample.outputs(made));
      assertEquals(0, Math.sqrt(error / share), 1e-5, Draws.seed());
      float moved = made.attentionNorm().weight()[5] - loud.attentionNorm().weight()[5];
      assertTrue(moved != 0, "a channel beyond all others is scaled");
    }
  }

  @Test
  void undoesChannelsThatLieFarFromZero() throws IOException {
    try (SampleBlock sample = new SampleBlock("opt")) {
      TransformerBlock far = sample.block.copy();
      move(far, 3, 60);
      move(far, 77, -40);
      double share = sample.outputs(far).meanSquaredError(sample.inputs);
      double same = sample.outputs(far).meanSquaredError(sample.outputs(sample.block));
      assertEquals(0, Math.sqrt(same / share), 1e-4, "the function is the same");
      BlockRounding nearest = new NearestBlocks();
      double plain = sample.error(sample.block, "W4A4", SUPPRESS, nearest);
      double found = sample.error(far, "W4A4", SUPPRESS, nearest);
      double rounded = sample.error(far, "W4A4", List.of(), nearest);
      assertEquals(plain, found, 0.05 * plain);
      assertTrue(rounded > 2 * plain, rounded + " and " + plain);
    }
  }

  /** Adds to a channel of the attention norm's output, and takes it back in the biases. */
  private static void move(TransformerBlock block, int channel, float by) {
    block.attentionNorm().bias().orElseThrow()[channel] += by;
    int hidden = block.config().hiddenSize();
    for (LinearRole role : List.of(LinearRole.QUERY, LinearRole.KEY, LinearRole.VALUE)) {
      float[] weight = block.linear(role).weight();
      float[] bias = block.linear(role).bias().orElseThrow();
      for (int row = 0; row < bias.length; row++) {
        bias[row] -= weight[row * hidden + channel] * by;
      }
    }
  }
}
