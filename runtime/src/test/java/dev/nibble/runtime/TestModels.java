package dev.nibble.runtime;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.SafetensorsWriter;
import dev.nibble.quantizer.format.TensorInfo;
import dev.nibble.runtime.engine.Engine;
import dev.nibble.runtime.engine.SamplingParameters;
import dev.nibble.runtime.engine.Sequence;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.StreamSupport;

/** Where the models and answers lie that tests compare with, and engines over them. */
public final class TestModels {
  private TestModels() {}

  public static Path runtimeFolder() {
    return Path.of(System.getProperty("project.root")).resolve("runtime");
  }

  public static Path books8m() {
    return runtimeFolder().resolve("models/books-8m");
  }

  /** A copy of {@link #books8m} in float32: what is made of it has a float32 cache on the CPU. */
  public static Path books8mInSingle(Path folder) throws IOException {
    Path copy = Files.createDirectory(folder.resolve("books-8m"));
    Files.copy(books8m().resolve("tokenizer.model"), copy.resolve("tokenizer.model"));
    ObjectNode config = (ObjectNode) json(books8m().resolve("config.json"));
    new ObjectMapper()
        .writeValue(copy.resolve("config.json").toFile(), config.put("dtype", "float32"));
    try (Checkpoint source = Checkpoint.open(books8m())) {
      List<TensorInfo> infos = new ArrayList<>();
      for (String name : source.names()) {
        infos.add(new TensorInfo(name, DType.F32, source.find(name).orElseThrow().shape()));
      }
      try (SafetensorsWriter writer =
          SafetensorsWriter.create(copy.resolve("model.safetensors"), infos, Map.of())) {
        for (String name : source.names()) {
          float[] values = source.find(name).orElseThrow().toFloats();
          writer.write(name, QuantizedBlock.floats(name, values).data());
        }
        writer.finish();
      }
    }
    return copy;
  }

  public static Path resource(String path) {
    return runtimeFolder().resolve("src/test/resources").resolve(path);
  }

  /** A file outside the repository; only acceptance tests may ask. */
  public static Path fixture(String path) {
    String folder = System.getProperty("fixtures", "");
    if (folder.isEmpty()) {
      throw new AssertionError("acceptance tests need -Dfixtures=DIR");
    }
    Path fixtures = Path.of(folder);
    Path root = Path.of(System.getProperty("project.root"));
    return (fixtures.isAbsolute() ? fixtures : root.resolve(fixtures)).normalize().resolve(path);
  }

  public static JsonNode json(Path file) throws IOException {
    return new ObjectMapper().readTree(Files.readAllBytes(file));
  }

  public static int[] ints(JsonNode array) {
    return StreamSupport.stream(array.spliterator(), false).mapToInt(JsonNode::asInt).toArray();
  }

  public static Engine cpu(Path folder, ModelOptions options) throws IOException {
    return engine(folder, Device.cpu(), options);
  }

  public static Engine engine(Path folder, Device device, ModelOptions options) throws IOException {
    return Engine.create(ModelWeights.of(Checkpoint.open(folder)), device, options);
  }

  /** A model to quantize; the tiny ones get a tokenizer with a token for each byte. */
  public static Path quantizable(String name, Path folder) throws IOException {
    if (name.equals("books-8m")) {
      return books8m();
    }
    Path copy = Files.createDirectory(folder.resolve(name));
    for (String file : new String[] {"config.json", "model.safetensors"}) {
      Files.copy(resource("tiny/" + name).resolve(file), copy.resolve(file));
    }
    ObjectMapper mapper = new ObjectMapper();
    ObjectNode vocabulary = mapper.createObjectNode();
    int free = 0x100;
    for (int b = 0; b < 256; b++) {
      boolean printable = (b > ' ' && b <= '~') || (b >= 0xa1 && b != 0xad);
      vocabulary.put(Character.toString(printable ? b : free++), b);
    }
    mapper.writeValue(copy.resolve("vocab.json").toFile(), vocabulary);
    Files.writeString(copy.resolve("merges.txt"), "");
    return copy;
  }

  /** Logits after each token, [tokens, vocab]. */
  public static float[] logits(Engine engine, int[] tokens) {
    float[] all = new float[tokens.length * engine.vocabSize()];
    try (Sequence sequence = engine.open(SamplingParameters.GREEDY)) {
      engine.score(
          sequence,
          tokens,
          (first, count, logits) ->
              System.arraycopy(
                  logits, 0, all, first * engine.vocabSize(), count * engine.vocabSize()));
    }
    return all;
  }

  /** The token sampled after a prompt, and those that follow. */
  public static int[] generate(Engine engine, SamplingParameters sampling, int[] prompt, int n) {
    int[] generated = new int[n];
    try (Sequence sequence = engine.open(sampling)) {
      int[] token = {engine.prefill(sequence, prompt)};
      Sequence[] batch = {sequence};
      generated[0] = token[0];
      for (int i = 1; i < n; i++) {
        engine.step(batch, 1, token);
        generated[i] = token[0];
      }
    }
    return generated;
  }

  /** What a prompt greedily continues with, as the middle one of a batch of so many. */
  public static int[] generateAmong(Engine engine, int[] prompt, int n, int count, long seed) {
    Random random = new Random(seed);
    Sequence[] batch = new Sequence[count];
    int[] tokens = new int[count];
    for (int i = 0; i < count; i++) {
      batch[i] = engine.open(SamplingParameters.GREEDY);
      int[] other = random.ints(1 + i % prompt.length, 0, engine.vocabSize()).toArray();
      tokens[i] = engine.prefill(batch[i], i == count / 2 ? prompt : other);
    }
    int[] among = new int[n];
    for (int i = 0; i < n; i++) {
      among[i] = tokens[count / 2];
      engine.step(batch, count, tokens);
    }
    for (Sequence sequence : batch) {
      sequence.close();
    }
    return among;
  }

  /** The first ids of a text that books-8m was asked about; at most 128. */
  public static int[] text(int tokens) throws IOException {
    return Arrays.copyOf(
        ints(json(resource("golden/books-8m.json")).get("logits_128_ids")), tokens);
  }
}
