package dev.nibble.runtime.engine;

import static dev.nibble.runtime.LogitErrors.deviation;
import static dev.nibble.runtime.LogitErrors.error;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
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
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestReporter;
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

  /** Largest gap of two logits in a text, in standard deviations of what halves do to one. */
  private static final double LARGEST_DEVIATION = 6;

  @TempDir Path folder;

  private static Engine gpu(Path model, ModelOptions options) throws IOException {
    return TestModels.engine(model, Device.cuda(0), options);
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama3", "qwen3", "opt"})
  void tinyModels(String name) throws IOException {
    checkTiny(TestModels.resource("tiny/" + name));
  }

  @Tag("acceptance")
  @ParameterizedTest
  @ValueSource(strings = {"llama2", "mistral", "qwen2"})
  void otherTinyModels(String name) throws IOException {
    checkTiny(TestModels.fixture("models/tiny/" + name));
  }

  private static void checkTiny(Path model) throws IOException {
    JsonNode answers = TestModels.json(model.resolve("golden.json"));
    int[] ids = TestModels.ints(answers.get("ids"));
    int[] greedy = TestModels.ints(answers.get("greedy"));
    try (Engine engine = gpu(model, ModelOptions.DEFAULT)) {
      double error =
          error(
              NpyArray.read(model.resolve("logits.npy")).values(), TestModels.logits(engine, ids));
      assertTrue(error <= GOLDEN_ERROR, () -> model + ": error " + error);
      int[] found = TestModels.generate(engine, SamplingParameters.GREEDY, ids, greedy.length);
      int differs = Arrays.mismatch(greedy, found);
      if (differs >= 0) {
        int[] text = Arrays.copyOf(ids, ids.length + differs);
        System.arraycopy(greedy, 0, text, ids.length, differs);
        float[] logits = TestModels.logits(engine, text);
        int last = (text.length - 1) * engine.vocabSize();
        float gap = Math.abs(logits[last + greedy[differs]] - logits[last + found[differs]]);
        assertTrue(gap <= CLEAR_GAP, () -> model + ": token " + differs + " differs by " + gap);
      }
    }
  }

  /** Of one layer, the other sees all. */
  @Test
  void aSlidingWindowIsTheCpus() throws IOException {
    Path model = copyOfQwen();
    Path config = model.resolve("config.json");
    ObjectNode fields = (ObjectNode) TestModels.json(config);
    fields.put("use_sliding_window", true).put("sliding_window", 8).put("max_window_layers", 0);
    fields.putArray("layer_types").add("sliding_attention").add("full_attention");
    new ObjectMapper().writeValue(config.toFile(), fields);
    try (Engine cpu = TestModels.cpu(model, ModelOptions.DEFAULT);
        Engine engine = gpu(model, ModelOptions.DEFAULT)) {
      int[] tokens = new Random(SEED).ints(97, 0, cpu.vocabSize()).toArray();
      double error = error(TestModels.logits(cpu, tokens), TestModels.logits(engine, tokens));
      assertTrue(error <= GOLDEN_ERROR, () -> "error " + error + ", -Dtests.seed=" + SEED);
      assertStepsAgree(engine, tokens, CLEAR_GAP, "a window of 8, -Dtests.seed=" + SEED);
    }
  }

  private Path copyOfQwen() throws IOException {
    Path copy = Files.createDirectory(folder.resolve("qwen3"));
    for (String file : new String[] {"config.json", "model.safetensors"}) {
      Files.copy(TestModels.resource("tiny/qwen3").resolve(file), copy.resolve(file));
    }
    return copy;
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
  void schemesEqualHalves(String scheme, TestReporter reporter) throws IOException {
    Path packed = folder.resolve("packed");
    quantize(TestModels.books8m(), packed, scheme);
    int[] tokens = TestModels.text(96);
    float[] expected;
    try (Engine halves = HalfOperations.engine(packed, ModelOptions.DEFAULT)) {
      expected = TestModels.logits(halves, tokens);
    }
    double gap;
    try (Engine cpu = TestModels.cpu(packed, ModelOptions.DEFAULT)) {
      double deviation = deviation(TestModels.logits(cpu, tokens), expected);
      gap = Math.max(CLEAR_GAP, LARGEST_DEVIATION * deviation);
    }
    try (Engine gpu = gpu(packed, ModelOptions.DEFAULT)) {
      double error = error(expected, TestModels.logits(gpu, tokens));
      reporter.publishEntry(scheme + ": error " + error);
      assertTrue(error <= SCHEME_ERROR, () -> scheme + ": error " + error);
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
    int[] prompt = TestModels.text(17);
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
    int[] prompt = TestModels.text(17);
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

  /** Of prompts, and of tokens that come one by one. */
  @ParameterizedTest
  @ValueSource(strings = {"W16A16", "W4A16g128", "W4A4Q4KV4"})
  void logitsOfTenRunsAreTheSameBits(String scheme) throws IOException {
    Path model = folder.resolve("packed");
    if (scheme.equals("W16A16")) {
      model = TestModels.books8m();
    } else {
      quantize(TestModels.books8m(), model, scheme);
    }
    int[] tokens = TestModels.text(96);
    try (Engine engine = gpu(model, ModelOptions.DEFAULT)) {
      float[] prompt = TestModels.logits(engine, tokens);
      float[] oneByOne = logitsOneByOne(engine, tokens);
      for (int run = 2; run <= 10; run++) {
        assertArrayEquals(prompt, TestModels.logits(engine, tokens), "run " + run);
        assertArrayEquals(oneByOne, logitsOneByOne(engine, tokens), "run " + run + " one by one");
      }
    }
  }

  private static float[] logitsOneByOne(Engine engine, int[] tokens) {
    float[] all = new float[tokens.length * engine.vocabSize()];
    try (Sequence sequence = engine.open(SamplingParameters.GREEDY)) {
      for (int i = 0; i < tokens.length; i++) {
        int at = i * engine.vocabSize();
        engine.score(
            sequence,
            new int[] {tokens[i]},
            (_, _, logits) -> System.arraycopy(logits, 0, all, at, engine.vocabSize()));
      }
    }
    return all;
  }

  @ParameterizedTest
  @ValueSource(strings = {"W16A16", "W4A16g128", "W3A8symH8"})
  void syntheticModelsAreTheSameEachTime(String name) throws IOException {
    QuantScheme scheme = QuantScheme.parse(name);
    int[] tokens = TestModels.text(33);
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
  void drawsAreThoseOfTheCpu() throws IOException {
    SamplingParameters sampling = new SamplingParameters(0.8f, 40, 0.95f, 0.02f, 1f, 1234);
    SamplingParameters penalized = new SamplingParameters(0.8f, 40, 0.95f, 0.02f, 1.1f, 1234);
    int[] prompt = TestModels.text(12);
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

  /** An embedding that is not a number: of a token that only some are asked to go on from. */
  @Test
  void aSequenceWithoutNumbersLeavesOthersAlone() throws IOException {
    int bad = 7;
    Path model = copyOfQwen();
    spoilEmbedding(model.resolve("model.safetensors"), bad);
    try (Engine engine = gpu(model, new ModelOptions(64, 3, 0))) {
      int[] prompt = {1, 2, 3};
      int[] expected = TestModels.generate(engine, SamplingParameters.GREEDY, prompt, 20);
      Sequence[] batch = new Sequence[3];
      int[] tokens = new int[3];
      for (int i = 0; i < batch.length; i++) {
        batch[i] = engine.open(SamplingParameters.GREEDY);
        tokens[i] = engine.prefill(batch[i], prompt);
      }
      for (int i = 1; i < expected.length; i++) {
        if (i % 4 == 0) {
          int[] spoiled = {tokens[0], tokens[1], bad};
          assertThrows(
              NonFiniteLogitsException.class, () -> engine.step(batch, batch.length, spoiled));
          for (Sequence sequence : batch) {
            sequence.truncate(sequence.length() - 1);
          }
        }
        engine.step(batch, batch.length, tokens);
        assertArrayEquals(new int[] {expected[i], expected[i], expected[i]}, tokens, "token " + i);
      }
    }
  }

  private static void spoilEmbedding(Path file, int token) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    int header = Math.toIntExact(bytes.getLong(0));
    JsonNode tensor =
        new ObjectMapper()
            .readTree(bytes.array(), Long.BYTES, header)
            .get("model.embed_tokens.weight");
    int rows = tensor.get("shape").get(0).asInt();
    int first = tensor.get("data_offsets").get(0).asInt();
    int rowBytes = (tensor.get("data_offsets").get(1).asInt() - first) / rows;
    int from = Long.BYTES + header + first + token * rowBytes;
    Arrays.fill(bytes.array(), from, from + rowBytes, (byte) 0xff);
    Files.write(file, bytes.array());
  }
}
