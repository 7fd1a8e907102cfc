package dev.nibble.runtime.engine;

import static dev.nibble.runtime.LogitErrors.deviation;
import static dev.nibble.runtime.LogitErrors.error;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
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
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestReporter;
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

  /** Largest gap of two logits in a text, in standard deviations of what halves do to one. */
  private static final double LARGEST_DEVIATION = 6;

  private static final double CLEAR_GAP = 0.05;

  @TempDir Path folder;

  private TestReporter reporter;

  @BeforeEach
  void report(TestReporter to) {
    reporter = to;
  }

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
    Path packed = Files.createDirectory(folder.resolve("packed"));
    SyntheticModel.ofKeptColumns(QuantScheme.parse(scheme), SEED).writePacked(packed);
    check(packed, scheme);
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
    check(packed, method + " " + model + " " + scheme);
  }

  /** Norms give 8 bits, attention and the activation 4. */
  @Test
  void clustersOfOtherBitsEqualTheCpu() throws IOException {
    Path packed = folder.resolve("packed");
    new CalibratedModel(
            MethodCatalog.create("rptq", Options.DEFAULT.withNormBits(8)), block -> block)
        .quantize(TestModels.books8m(), packed, "W4A4g32", 2, 48);
    check(packed, "rptq W4A4g32, norms of 8 bits");
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
    check(packed, "opt " + scheme);
  }

  /**
   * A prompt's logits, what steps of one and of several sequences choose, and that runs are alike.
   */
  private void check(Path packed, String what) throws IOException {
    int[] tokens;
    float[] exact;
    try (Engine cpu = TestModels.cpu(packed, ModelOptions.DEFAULT)) {
      tokens = new Random(SEED).ints(TOKENS, 0, cpu.vocabSize()).toArray();
      exact = TestModels.logits(cpu, tokens);
    }
    float[] expected;
    try (Engine halves = HalfOperations.engine(packed, ModelOptions.DEFAULT)) {
      expected = TestModels.logits(halves, tokens);
    }
    double clear = Math.max(CLEAR_GAP, LARGEST_DEVIATION * deviation(exact, expected));
    String seed = what + ", -Dtests.seed=" + SEED;
    ModelOptions options = new ModelOptions(64, 64, 0);
    try (Engine gpu = TestModels.engine(packed, Device.cuda(0), options)) {
      double error = error(expected, TestModels.logits(gpu, tokens));
      reporter.publishEntry(what + ": error " + error);
      assertTrue(error <= ERROR, () -> seed + ": error " + error);
      for (int count : new int[] {1, 5}) {
        double gap = widestGap(gpu, tokens, expected, count);
        assertTrue(
            gap <= clear, () -> seed + ": " + count + " sequences, gap " + gap + " > " + clear);
      }
      assertAlike(gpu, Arrays.copyOf(tokens, 9), seed);
    }
  }

  /** Ten runs, and batches of several sizes, continue a prompt alike. */
  private static void assertAlike(Engine engine, int[] prompt, String what) {
    int[] alone = TestModels.generate(engine, SamplingParameters.GREEDY, prompt, 24);
    for (int run = 1; run < 10; run++) {
      assertArrayEquals(
          alone, TestModels.generate(engine, SamplingParameters.GREEDY, prompt, 24), what);
    }
    for (int count : new int[] {2, 6, 64}) {
      assertArrayEquals(
          alone,
          TestModels.generateAmong(engine, prompt, alone.length, count, SEED),
          () -> what + ": among " + count);
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
}
