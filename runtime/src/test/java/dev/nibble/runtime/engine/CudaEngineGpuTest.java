package dev.nibble.runtime.engine;

import static dev.nibble.runtime.LogitErrors.deviation;
import static dev.nibble.runtime.LogitErrors.error;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.method.FolderQuantizer;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import dev.nibble.quantizer.method.FolderQuantizer.Listener;
import dev.nibble.quantizer.method.FolderQuantizer.Request;
import dev.nibble.runtime.GpuTest;
import dev.nibble.runtime.NpyArray;
import dev.nibble.runtime.TestModels;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Whole models on a GPU, against other implementations' answers and the CPU engine. */
@GpuTest
class CudaEngineGpuTest {
  private static final long SEED = Long.getLong("tests.seed", System.nanoTime());

  /** Logits of fp16 activations against float32's, squared error over squares. */
  private static final double GOLDEN_ERROR = 1e-4;

  private static final double SCHEME_ERROR = 2e-3;
  private static final double CLEAR_GAP = 0.05;

  /**
   * How much farther from the CPU's logits the GPU's may be than those of {@link NoisyOperations}:
   * with inputs of 4 bits even the CPU's scalar and vector operations, which differ in the order of
   * sums alone, are 1e-2 apart.
   */
  private static final double OF_NOISE = 2;

  /** Largest gap of two logits in a text, in standard deviations of what that noise does to one. */
  private static final double LARGEST_DEVIATION = 6;

  private static final com.sun.management.ThreadMXBean THREADS =
      (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();

  @TempDir Path folder;

  private static Engine gpu(Path model, ModelOptions options) throws IOException {
    return TestModels.engine(model, Device.cuda(0), options);
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama3", "qwen3", "opt"})
  void tinyModels(String name) throws IOException {
    Path model = TestModels.resource("tiny/" + name);
    JsonNode answers = TestModels.json(model.resolve("golden.json"));
    int[] ids = TestModels.ints(answers.get("ids"));
    try (Engine engine = gpu(model, ModelOptions.DEFAULT)) {
      double error =
          error(
              NpyArray.read(model.resolve("logits.npy")).values(), TestModels.logits(engine, ids));
      assertTrue(error <= GOLDEN_ERROR, () -> name + ": error " + error);
    }
  }

  @Test
  void logitsOfBooks8m() throws IOException {
    NpyArray golden = NpyArray.read(TestModels.resource("golden/books-8m-logits-16-of-128.npy"));
    JsonNode json = TestModels.json(TestModels.resource("golden/books-8m.json"));
    int[] tokens = TestModels.ints(json.get("logits_128_ids"));
    int stride = tokens.length / golden.rows();
    try (Engine engine = gpu(TestModels.books8m(), ModelOptions.DEFAULT)) {
      float[] logits = TestModels.logits(engine, tokens);
      float[] sixteen = new float[golden.values().length];
      for (int row = 0; row < golden.rows(); row++) {
        System.arraycopy(
            logits,
            ((row + 1) * stride - 1) * golden.columns(),
            sixteen,
            row * golden.columns(),
            golden.columns());
      }
      double error = error(golden.values(), sixteen);
      assertTrue(error <= GOLDEN_ERROR, () -> "error " + error);
    }
  }

  @Test
  void greedyContinuationsOfBooks8m() throws IOException {
    JsonNode golden = TestModels.json(TestModels.resource("golden/books-8m.json"));
    try (Engine engine = gpu(TestModels.books8m(), ModelOptions.DEFAULT)) {
      for (JsonNode prompt : golden.get("prompts")) {
        int[] expected = TestModels.ints(prompt.get("greedy"));
        int[] found =
            TestModels.generate(
                engine,
                SamplingParameters.GREEDY,
                TestModels.ints(prompt.get("ids")),
                expected.length);
        int differs = Arrays.mismatch(expected, found);
        if (differs >= 0) {
          double gap = prompt.get("greedy_top2_gap").get(differs).asDouble();
          assertTrue(
              gap <= CLEAR_GAP,
              prompt.get("prompt") + ": token " + differs + " differs at a gap of " + gap);
        }
      }
    }
  }

  /** Packed models of many schemes, with the tokens of prompts and of decode steps. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "W4A16g128",
        "W3A16g128sym",
        "W2A16g64",
        "W8A16",
        "W6A16g32",
        "W4A16g128H8",
        "W4A16g128KV8",
        "W4A16KV4",
        "W4A16g32KV3",
        "W4A8g128",
        "W8A8",
        "W8A8g32",
        "W6A6",
        "W4A4Q4KV4",
        "W16A8"
      })
  void schemesEqualTheCpu(String scheme) throws IOException {
    Path packed = folder.resolve("packed");
    quantize(TestModels.books8m(), packed, scheme);
    int[] tokens = text(96);
    try (Engine cpu = TestModels.cpu(packed, ModelOptions.DEFAULT);
        Engine noise = NoisyOperations.engine(packed, ModelOptions.DEFAULT, SEED);
        Engine gpu = gpu(packed, ModelOptions.DEFAULT)) {
      float[] expected = TestModels.logits(cpu, tokens);
      double prompt = error(expected, TestModels.logits(gpu, tokens));
      float[] noisy = TestModels.logits(noise, tokens);
      double limit = Math.max(SCHEME_ERROR, OF_NOISE * error(expected, noisy));
      assertTrue(prompt <= limit, () -> scheme + ": error " + prompt + " > " + limit);
      double gap = Math.max(CLEAR_GAP, LARGEST_DEVIATION * deviation(expected, noisy));
      assertStepsAgree(gpu, tokens, gap, scheme);
    }
  }

  private static void quantize(Path source, Path target, String scheme) throws IOException {
    FolderQuantizer.quantize(
        new Request(source, target, QuantScheme.parse(scheme), Existing.KEEP, 2), Listener.SILENT);
  }

  /**
   * Decode steps choose what the logits of the same tokens as a prompt say, wherever the two
   * largest are farther apart than a limit.
   */
  private static void assertStepsAgree(Engine engine, int[] tokens, double limit, String scheme) {
    float[] logits = TestModels.logits(engine, tokens);
    int vocab = engine.vocabSize();
    try (Sequence sequence = engine.open(SamplingParameters.GREEDY)) {
      Sequence[] batch = {sequence};
      engine.append(sequence, new int[] {tokens[0]});
      for (int i = 1; i < tokens.length; i++) {
        int[] token = {tokens[i]};
        engine.step(batch, 1, token);
        int best = Sampler.argmax(logits, i * vocab, vocab);
        float gap = logits[i * vocab + best] - logits[i * vocab + token[0]];
        assertTrue(
            gap <= limit, scheme + ": token " + i + " differs at a gap of " + gap + " > " + limit);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"W4A16g128", "W4A8g128", "W8A8", "W4A4Q4KV4", "W3A16g64H8"})
  void packedSequencesAmongOthers(String scheme) throws IOException {
    Path packed = folder.resolve("packed");
    quantize(TestModels.books8m(), packed, scheme);
    int[] prompt = text(17);
    try (Engine engine = gpu(packed, new ModelOptions(256, 64, 0))) {
      int[] alone = TestModels.generate(engine, SamplingParameters.GREEDY, prompt, 40);
      for (int count : new int[] {2, 3, 4, 5, 8, 33, 64}) {
        assertArrayEquals(
            alone,
            TestModels.generateAmong(engine, prompt, alone.length, count, SEED),
            scheme + " among " + count);
      }
    }
  }

  @Test
  void tenRunsAreAlikeAndSoIsASequenceAmongOthers() throws IOException {
    int[] prompt = text(17);
    ModelOptions options = new ModelOptions(256, 64, 0);
    try (Engine engine = gpu(TestModels.books8m(), options)) {
      int[] alone = TestModels.generate(engine, SamplingParameters.GREEDY, prompt, 40);
      for (int run = 1; run < 10; run++) {
        assertArrayEquals(
            alone, TestModels.generate(engine, SamplingParameters.GREEDY, prompt, 40));
      }
      assertArrayEquals(
          alone,
          TestModels.generateAmong(engine, prompt, alone.length, 64, SEED),
          "-Dtests.seed=" + SEED);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"W16A16", "W4A16g128", "W3A8symH8"})
  void syntheticModelsAreTheSameEachTime(String name) throws IOException {
    QuantScheme scheme = QuantScheme.parse(name);
    int[] tokens = text(33);
    float[] first;
    try (Engine engine =
        Engine.synthetic("books-8m", scheme, Device.cuda(0), ModelOptions.DEFAULT)) {
      first = TestModels.logits(engine, tokens);
    }
    try (Engine engine =
        Engine.synthetic("books-8m", scheme, Device.cuda(0), ModelOptions.DEFAULT)) {
      assertArrayEquals(first, TestModels.logits(engine, tokens));
    }
    try (Engine cpu = Engine.synthetic("books-8m", scheme, Device.cpu(), ModelOptions.DEFAULT)) {
      float[] host = TestModels.logits(cpu, tokens);
      assertEquals(1, size(host) / size(first), 0.3);
    }
  }

  private static double size(float[] logits) {
    return deviation(new float[logits.length], logits);
  }

  @Test
  void aDecodeStepAllocatesNothing() throws IOException {
    try (Engine engine = gpu(TestModels.books8m(), ModelOptions.DEFAULT);
        Sequence sequence = engine.open(SamplingParameters.GREEDY)) {
      Sequence[] batch = {sequence};
      int[] token = {engine.prefill(sequence, text(17))};
      long allocated = Long.MAX_VALUE;
      // Until it is compiled, a step may.
      for (int round = 0; round < 20 && allocated > 0; round++) {
        long before = THREADS.getCurrentThreadAllocatedBytes();
        steps(engine, batch, token);
        allocated = THREADS.getCurrentThreadAllocatedBytes() - before;
      }
      assertEquals(0, allocated);
    }
  }

  private static void steps(Engine engine, Sequence[] batch, int[] token) {
    for (int i = 0; i < 50; i++) {
      engine.step(batch, 1, token);
    }
  }

  @Test
  void drawsAreThoseOfTheCpu() throws IOException {
    SamplingParameters sampling = new SamplingParameters(0.8f, 40, 0.95f, 0.02f, 1f, 1234);
    SamplingParameters penalized = new SamplingParameters(0.8f, 40, 0.95f, 0.02f, 1.1f, 1234);
    int[] prompt = text(12);
    try (Engine cpu = TestModels.cpu(TestModels.books8m(), ModelOptions.DEFAULT);
        Engine gpu = gpu(TestModels.books8m(), ModelOptions.DEFAULT)) {
      for (SamplingParameters parameters : new SamplingParameters[] {sampling, penalized}) {
        int[] expected = TestModels.generate(cpu, parameters, prompt, 12);
        int[] found = TestModels.generate(gpu, parameters, prompt, 12);
        assertEquals(expected[0], found[0]);
        assertTrue(
            Arrays.mismatch(expected, found) < 0 || Arrays.mismatch(expected, found) > 3,
            Arrays.toString(expected) + " " + Arrays.toString(found));
      }
    }
  }

  private static int[] text(int tokens) throws IOException {
    JsonNode json = TestModels.json(TestModels.resource("golden/books-8m.json"));
    return Arrays.copyOf(TestModels.ints(json.get("logits_128_ids")), tokens);
  }
}
