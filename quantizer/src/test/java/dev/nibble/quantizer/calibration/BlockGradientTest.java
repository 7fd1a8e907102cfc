package dev.nibble.quantizer.calibration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A block's forward pass and gradient against double precision and finite differences. */
class BlockGradientTest {
  private static final long SEED = Long.getLong("tests.seed", 20_261_122L);
  private static final double NO_GRADIENT = 1e-2;
  private static final int CONTEXT = 70;

  /** One array of parameters: the oracle's, and the gradient found for it. */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Case(String name, double[] parameters, float[] gradient) {}

  @ParameterizedTest
  @CsvSource({
    "llama3, 16, 16, 16",
    "qwen3, 16, 16, 16",
    "opt, 16, 16, 16",
    "llama3, 4, 4, 4",
    "llama3, 16, 16, 3",
    "qwen3, 6, 8, 8",
    "opt, 4, 4, 4"
  })
  void equalsDoublePrecision(String model, int activationBits, int queryBits, int kvBits)
      throws IOException {
    TransformerBlock block = load(model);
    BlockPrecision precision = precision(activationBits, queryBits, kvBits);
    float[] x = inputs(block, CONTEXT);
    ReferenceBlock reference = new ReferenceBlock(block, activationBits, queryBits, kvBits);
    try (WorkerThreads workers = new WorkerThreads(2)) {
      BlockPass pass = new BlockPass(block.config(), 0, CONTEXT, 2, workers);
      System.arraycopy(x, 0, pass.x, 0, x.length);
      System.arraycopy(x, 0, pass.x, x.length, x.length);
      pass.forward(block, precision, 2 * CONTEXT, null);
      double[] expected = reference.run(ReferenceBlock.doubles(x), pass);
      double error = 0;
      double norm = 0;
      for (int i = 0; i < expected.length; i++) {
        assertEquals(pass.y[i], pass.y[x.length + i], "windows do not meet");
        error += Math.pow(expected[i] - pass.y[i], 2);
        norm += Math.pow(expected[i] - x[i], 2);
      }
      assertTrue(Math.sqrt(error / norm) < 1e-5, "error " + Math.sqrt(error / norm));
    }
  }

  @ParameterizedTest
  @CsvSource({
    "llama3, 16, 16, 16", "qwen3, 16, 16, 16", "opt, 16, 16, 16", "gelu, 16, 16, 16",
    "llama3, 4, 4, 4", "qwen3, 6, 8, 8", "opt, 8, 8, 8", "gelu, 8, 8, 8"
  })
  void equalsFiniteDifferences(String model, int activationBits, int queryBits, int kvBits)
      throws IOException {
    Checked checked = new Checked(model, activationBits, queryBits, kvBits);
    for (Case found : checked.cases) {
      assertTrue(checked.off(found) <= 1, found.name + ", -Dtests.seed=" + SEED);
    }
  }

  /**
   * The differences can tell: a gradient that is two per cent too long is not theirs. A bias of
   * keys has none, for softmax does not see it.
   */
  @ParameterizedTest
  @CsvSource({"llama3, 16", "qwen3, 16", "opt, 16", "llama3, 4", "opt, 8"})
  void aLongerGradientIsNoticed(String model, int bits) throws IOException {
    Checked checked = new Checked(model, bits, bits, bits);
    for (Case found : checked.cases) {
      float[] longer = found.gradient.clone();
      double size = 0;
      for (int i = 0; i < longer.length; i++) {
        size += Math.abs(longer[i]);
        longer[i] *= 1.02f;
      }
      Case wrong = new Case(found.name, found.parameters, longer);
      assertTrue(
          size < NO_GRADIENT || checked.off(wrong) > 1, found.name + ", -Dtests.seed=" + SEED);
    }
  }

  /** A block's gradients, and the function whose they should be. */
  private static final class Checked {
    private static final int TOKENS = 9;
    private static final int TRIALS = 4;
    private static final double STEP = 1e-6;

    final List<Case> cases;
    private final Random random = new Random(SEED);
    private final ReferenceBlock reference;
    private final double[] inputs;
    private final float[] dy;

    Checked(String model, int activationBits, int queryBits, int kvBits) throws IOException {
      TransformerBlock block = load(model);
      float[] x = inputs(block, TOKENS);
      dy = new float[x.length];
      for (int i = 0; i < dy.length; i++) {
        dy[i] = (float) random.nextGaussian();
      }
      reference = new ReferenceBlock(block, activationBits, queryBits, kvBits);
      inputs = ReferenceBlock.doubles(x);
      cases = gradients(block, precision(activationBits, queryBits, kvBits), x, dy, reference);
    }

    /** How far a gradient is off the differences along some directions; up to 1 is rounding. */
    double off(Case found) {
      double most = 0;
      for (int trial = 0; trial < TRIALS; trial++) {
        double[] direction = new double[found.parameters.length];
        double analytic = 0;
        double size = 0;
        for (int i = 0; i < direction.length; i++) {
          direction[i] = random.nextGaussian();
          analytic += direction[i] * found.gradient[i];
          size += (double) found.gradient[i] * found.gradient[i];
        }
        shift(found.parameters, direction, STEP);
        double up = dot(reference.run(inputs), dy);
        shift(found.parameters, direction, -2 * STEP);
        double down = dot(reference.run(inputs), dy);
        shift(found.parameters, direction, STEP);
        double expected = (up - down) / (2 * STEP);
        double off = Math.abs(expected - analytic) / (1e-3 * Math.sqrt(size) + 1e-4);
        most = Math.max(most, off);
      }
      return most;
    }
  }

  private static List<Case> gradients(
      TransformerBlock block,
      BlockPrecision precision,
      float[] x,
      float[] dy,
      ReferenceBlock reference) {
    List<Case> cases = new ArrayList<>();
    int tokens = x.length / block.config().hiddenSize();
    for (int threads = 1; threads <= 2; threads++) {
      try (WorkerThreads workers = new WorkerThreads(threads)) {
        BlockPass pass = new BlockPass(block.config(), 0, tokens, 1, workers);
        System.arraycopy(x, 0, pass.x, 0, x.length);
        pass.forward(block, precision, tokens, null);
        reference.run(ReferenceBlock.doubles(x), pass);
        BlockGradient gradient = new BlockGradient(pass);
        System.arraycopy(dy, 0, gradient.dy, 0, dy.length);
        gradient.backward(block, precision, tokens, BlockTrainer.Scope.ALL);
        List<Case> found = new ArrayList<>();
        for (LinearRole role : block.roles()) {
          found.add(new Case(role + " weight", reference.weights.get(role), gradient.weight(role)));
          gradient
              .bias(role)
              .ifPresent(g -> found.add(new Case(role + " bias", reference.biases.get(role), g)));
        }
        found.add(new Case("attention norm", reference.attentionNorm, gradient.attentionNorm));
        found.add(new Case("MLP norm", reference.mlpNorm, gradient.mlpNorm));
        found.add(
            new Case(
                "attention norm bias", reference.attentionNormBias, gradient.attentionNormBias));
        found.add(new Case("MLP norm bias", reference.mlpNormBias, gradient.mlpNormBias));
        for (int i = 0; i < cases.size(); i++) {
          assertArrayEquals(cases.get(i).gradient, found.get(i).gradient, "threads");
        }
        cases = found;
      }
    }
    return cases;
  }

  private static BlockPrecision precision(int activationBits, int queryBits, int kvBits) {
    Map<InputSite, InputQuantizer> inputs = new EnumMap<>(InputSite.class);
    for (InputSite site : InputSite.values()) {
      inputs.put(site, InputQuantizer.perToken(activationBits));
    }
    return new BlockPrecision(inputs, queryBits, kvBits);
  }

  static TransformerBlock load(String model) throws IOException {
    boolean gelu = model.equals("gelu");
    Path folder =
        Path.of(
            System.getProperty("project.root"),
            "runtime/src/test/resources/tiny",
            gelu ? "opt" : model);
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      ModelConfig config = checkpoint.config();
      return TransformerBlock.load(checkpoint, gelu ? withGelu(config) : config, 1);
    }
  }

  private static ModelConfig withGelu(ModelConfig config) {
    return new ModelConfig(
        config.architecture(),
        config.vocabSize(),
        config.hiddenSize(),
        config.intermediateSize(),
        config.layers(),
        config.heads(),
        config.kvHeads(),
        config.headDim(),
        config.maxPositions(),
        config.normEpsilon(),
        config.rope(),
        config.slidingWindows(),
        config.tiedEmbeddings(),
        ModelConfig.Activation.GELU,
        config.biased(),
        config.bosIds(),
        config.eosIds(),
        config.quantization());
  }

  private static float[] inputs(TransformerBlock block, int tokens) {
    Random random = new Random(SEED + 1);
    float[] x = new float[tokens * block.config().hiddenSize()];
    for (int i = 0; i < x.length; i++) {
      x[i] = (float) random.nextGaussian();
    }
    return x;
  }

  private static void shift(double[] x, double[] direction, double by) {
    for (int i = 0; i < x.length; i++) {
      x[i] += by * direction[i];
    }
  }

  private static double dot(double[] x, float[] y) {
    double sum = 0;
    for (int i = 0; i < x.length; i++) {
      sum += x[i] * y[i];
    }
    return sum;
  }
}
