package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.BlockTrainer;
import dev.nibble.quantizer.calibration.HiddenStates;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.calibration.TransformerBlock.Parameters;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.io.IOException;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class EquivalentTransformationTest {
  private static final int[] BATCH = {0, 1};

  /** Of what the transformed parameters weigh in the loss, their gradient held. */
  @ParameterizedTest
  @ValueSource(strings = {"llama3", "qwen3", "opt"})
  void gradientEqualsFiniteDifferences(String model) throws IOException {
    try (SampleBlock sample = new SampleBlock(model);
        WorkerThreads workers = new WorkerThreads(1)) {
      Draws draws = new Draws();
      TransformerBlock block = sample.block;
      ModelConfig config = block.config();
      EquivalentTransformation transformation =
          new EquivalentTransformation(
              block,
              new float[config.hiddenSize()],
              new float[config.rows(LinearRole.VALUE)],
              new float[config.hiddenSize()],
              workers);
      Random random = draws.random();
      for (Parameter parameter : transformation.parameters()) {
        for (int i = 0; i < parameter.value.length; i++) {
          parameter.value[i] = 0.5f + 2 * random.nextFloat();
        }
      }
      TransformerBlock transformed = block.copy();
      transformation.apply(transformed);
      BlockTrainer trainer = trained(sample, transformed, "W4A4Q4KV4");
      transformation.backward(trainer);
      for (Parameter parameter : transformation.parameters()) {
        float[] direction = draws.gaussian(parameter.value.length);
        float[] middle = parameter.value.clone();
        double analytic = 0;
        double size = 0;
        for (int i = 0; i < direction.length; i++) {
          analytic += (double) direction[i] * parameter.gradient[i];
          size += (double) parameter.gradient[i] * parameter.gradient[i];
        }
        double step = 2e-3;
        double[] sums = new double[2];
        for (int side = 0; side < 2; side++) {
          for (int i = 0; i < direction.length; i++) {
            parameter.value[i] = (float) (middle[i] + (2 * side - 1) * step * direction[i]);
          }
          transformation.apply(transformed);
          sums[side] = weighed(transformed, trainer);
        }
        System.arraycopy(middle, 0, parameter.value, 0, middle.length);
        double expected = (sums[1] - sums[0]) / (2 * step);
        int which = transformation.parameters().indexOf(parameter);
        assertEquals(
            expected,
            analytic,
            5e-3 * Math.sqrt(size) + 1e-6,
            "parameter " + which + ", " + Draws.seed());
      }
    }
  }

  /** Without rounding a pair's scale has no gradient; a scale of one channel of it would have. */
  @Test
  void onlyBothChannelsOfAPairHaveNoGradient() throws IOException {
    try (SampleBlock sample = new SampleBlock("llama3")) {
      TransformerBlock block = sample.block;
      ModelConfig config = block.config();
      BlockTrainer trainer = trained(sample, block, "W4A16");
      double[] keys = along(block, trainer, LinearRole.KEY);
      double[] queries = along(block, trainer, LinearRole.QUERY);
      int headDim = config.headDim();
      int readers = config.heads() / config.kvHeads();
      double tied = 0;
      double untied = 0;
      for (int kv = 0; kv < config.kvHeads(); kv++) {
        double[] channels = new double[headDim];
        for (int i = 0; i < headDim; i++) {
          channels[i] = keys[kv * headDim + i];
          for (int h = kv * readers; h < (kv + 1) * readers; h++) {
            channels[i] -= queries[h * headDim + i];
          }
        }
        for (int i = 0; i < headDim / 2; i++) {
          tied += Math.pow(channels[i] + channels[i + headDim / 2], 2);
          untied += Math.pow(channels[i], 2);
        }
      }
      assertTrue(Math.sqrt(tied) < 1e-3 * Math.sqrt(untied), tied + " and " + untied);
    }
  }

  /** Gradient of a factor of each row of a linear. */
  private static double[] along(TransformerBlock block, BlockTrainer trainer, LinearRole role) {
    float[] weight = block.linear(role).weight();
    double[] rows = new double[block.config().rows(role)];
    int width = weight.length / rows.length;
    for (int i = 0; i < weight.length; i++) {
      rows[i / width] += (double) weight[i] * trainer.weight(role)[i];
    }
    return rows;
  }

  /** The gradients of a block against targets that it is far from. */
  private static BlockTrainer trained(SampleBlock sample, TransformerBlock block, String scheme) {
    BlockTask task = sample.task(sample.block, scheme);
    BlockTrainer trainer = new BlockTrainer(task, BATCH.length);
    float[][] targets = new float[sample.inputs.windows()][];
    for (int w = 0; w < targets.length; w++) {
      targets[w] = new Draws().gaussian(sample.inputs.window(w).length);
    }
    trainer.run(
        block,
        BlockPrecision.of(QuantScheme.parse(scheme)),
        sample.inputs,
        BATCH,
        List.of(new HiddenStates(targets)),
        BlockTrainer.Scope.ALL);
    return trainer;
  }

  private static double weighed(TransformerBlock block, BlockTrainer trainer) {
    double sum =
        dot(block.attentionNorm(), trainer.attentionNorm(), trainer.attentionNormBias())
            + dot(block.mlpNorm(), trainer.mlpNorm(), trainer.mlpNormBias());
    for (LinearRole role : block.roles()) {
      float[] bias = trainer.bias(role).orElse(new float[0]);
      sum += dot(block.linear(role), trainer.weight(role), bias);
    }
    return sum;
  }

  private static double dot(Parameters parameters, float[] weight, float[] bias) {
    double sum = dot(parameters.weight(), weight);
    return parameters.bias().isPresent() ? sum + dot(parameters.bias().get(), bias) : sum;
  }

  private static double dot(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += (double) a[i] * b[i];
    }
    return sum;
  }
}
