package dev.nibble.runtime.engine;

import static dev.nibble.runtime.RoundingNoise.error;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.method.FolderQuantizer;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import dev.nibble.quantizer.method.FolderQuantizer.Listener;
import dev.nibble.quantizer.method.FolderQuantizer.Request;
import dev.nibble.quantizer.method.MethodCatalog;
import dev.nibble.quantizer.method.MethodCatalog.Options;
import dev.nibble.runtime.CalibratedModel;
import dev.nibble.runtime.GpuTest;
import dev.nibble.runtime.SyntheticModel;
import dev.nibble.runtime.TestModels;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What methods write beside codes, on a GPU: reordered channels and RoPE pairs, static clusters,
 * outlier columns, biases; and OPT's blocks.
 */
@GpuTest
class CudaMethodsGpuTest {
  private static final long SEED = Long.getLong("tests.seed", 20_261_122L);
  private static final int TOKENS = 60;

  /** Squared error of logits over squares. */
  private static final double ERROR = 2e-3;

  /**
   * With inputs of 6 bits: halves move some over the edge between two codes. Noise of a half's last
   * bit in the inputs of a float program gives 0.007 to 0.008.
   */
  private static final double SIX_BIT_ERROR = 1.6e-2;

  /** Of the token a step chooses to the best one. */
  private static final double STEP_GAP = 0.3;

  @TempDir Path folder;

  /** g32 with quantized inputs has static clusters on q, k, v, gate and up. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "W4A16g32H8",
        "W3A16g64H8",
        "W2A16g128symH8",
        "W6A16H8",
        "W8A16g32symH8",
        "W4A8g32H8",
        "W8A8g32symH8",
        "W3A6g32H8",
        "W4A8g128H8",
        "W6A6H8"
      })
  void syntheticModels(String scheme) throws IOException {
    SyntheticModel model = SyntheticModel.ofKeptColumns(QuantScheme.parse(scheme), SEED);
    Path packed = Files.createDirectory(folder.resolve("packed"));
    model.writePacked(packed);
    int[] tokens = tokens(97);
    double[][] logits = model.logits(tokens);
    float[] expected = new float[tokens.length * logits[0].length];
    for (int i = 0; i < expected.length; i++) {
      expected[i] = (float) logits[i / logits[0].length][i % logits[0].length];
    }
    check(packed, tokens, expected, scheme);
  }

  @ParameterizedTest
  @CsvSource({
    "rptq, books-8m, W4A8g32",
    "rptq, books-8m, W3A16",
    "rptq, llama3, W4A8g32",
    "rptq, opt, W4A8g32",
    "owq, books-8m, W3A16",
    "owq, books-8m, W4A8g128"
  })
  void methodsEqualTheCpu(String method, String model, String scheme) throws IOException {
    Path packed = folder.resolve("packed");
    new CalibratedModel(MethodCatalog.create(method, Options.DEFAULT), block -> block)
        .quantize(TestModels.quantizable(model, folder), packed, scheme, 2, 48);
    checkAgainstCpu(packed, method + " " + model + " " + scheme);
  }

  @ParameterizedTest
  @ValueSource(strings = {"W16A16", "W4A16g128", "W3A16g64sym", "W8A8", "W4A16g32KV8"})
  void optBlocksEqualTheCpu(String scheme) throws IOException {
    Path packed = TestModels.resource("tiny/opt");
    if (!scheme.equals("W16A16")) {
      packed = folder.resolve("packed");
      FolderQuantizer.quantize(
          new Request(
              TestModels.quantizable("opt", folder),
              packed,
              QuantScheme.parse(scheme),
              Existing.KEEP,
              2),
          Listener.SILENT);
    }
    checkAgainstCpu(packed, "opt " + scheme);
  }

  private static void checkAgainstCpu(Path packed, String what) throws IOException {
    try (Engine cpu = TestModels.cpu(packed, ModelOptions.DEFAULT)) {
      int[] tokens = tokens(cpu.vocabSize());
      check(packed, tokens, TestModels.logits(cpu, tokens), what);
    }
  }

  /** A prompt's logits, and what steps of one and of several sequences choose. */
  private static void check(Path packed, int[] tokens, float[] expected, String what)
      throws IOException {
    String seed = what + ", -Dtests.seed=" + SEED;
    ModelOptions options = new ModelOptions(64, 5, 0);
    try (Engine gpu = TestModels.engine(packed, Device.cuda(0), options)) {
      double error = error(expected, TestModels.logits(gpu, tokens));
      double limit = what.contains("A6") ? SIX_BIT_ERROR : ERROR;
      assertTrue(error <= limit, () -> seed + ": error " + error);
      for (int count : new int[] {1, 5}) {
        double gap = widestGap(gpu, tokens, expected, count);
        assertTrue(gap <= STEP_GAP, () -> seed + ": " + count + " sequences, gap " + gap);
      }
    }
  }

  private static double widestGap(Engine engine, int[] tokens, float[] logits, int count) {
    int vocab = engine.vocabSize();
    Sequence[] batch = new Sequence[count];
    for (int i = 0; i < count; i++) {
      batch[i] = engine.open(SamplingParameters.GREEDY);
      engine.append(batch[i], new int[] {tokens[0]});
    }
    double widest = 0;
    for (int t = 1; t < tokens.length; t++) {
      int[] next = new int[count];
      Arrays.fill(next, tokens[t]);
      engine.step(batch, count, next);
      int best = Sampler.argmax(logits, t * vocab, vocab);
      for (int chosen : next) {
        widest = Math.max(widest, logits[t * vocab + best] - logits[t * vocab + chosen]);
      }
    }
    for (Sequence sequence : batch) {
      sequence.close();
    }
    return widest;
  }

  private static int[] tokens(int vocab) {
    return new Random(SEED).ints(TOKENS, 0, vocab).toArray();
  }
}
