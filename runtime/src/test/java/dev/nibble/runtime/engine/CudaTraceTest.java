package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.SyntheticModel;
import dev.nibble.runtime.TestModels;
import dev.nibble.runtime.cuda.TracedDevice;
import dev.nibble.runtime.kernel.KernelCatalog;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Writes what the engine launches, with the logits that must come out, for the program that runs
 * the kernels under a checker (native/src/test). {@code -Dtraces=FOLDER} keeps the traces.
 */
class CudaTraceTest {
  private static final long SEED = 20_261_122L;
  private static final ModelOptions OPTIONS = new ModelOptions(64, 1, 1);
  private static final int PROMPT = 21;
  private static final int STEPS = 3;

  /** Squared error of logits over squares. */
  private static final double ERROR = 2e-3;

  /** Odd, and beyond what the products of few tokens take. */
  private static final int SEQUENCES = 5;

  /** Penalties are the host's work, so that it fetches the logits of each step. */
  private static final SamplingParameters SAMPLING = new SamplingParameters(0f, 0, 1f, 0f, 1.1f, 1);

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "llama3",
        "qwen3",
        "opt",
        "W4A16g32H8",
        "W3A16g64KV4H8",
        "W2A16g128symKV3H8",
        "W6A16KV8H8",
        "W8A16g32symH8",
        "W4A8g32H8",
        "W8A8Q8KV8H8",
        "W4A4Q4KV4H8"
      })
  void tracesEndWhereTheCpuDoes(String name) throws IOException {
    Path model = model(name);
    int[] tokens;
    float[] expected;
    try (CpuEngine halves = HalfOperations.engine(model, OPTIONS)) {
      tokens = new Random(SEED).ints(PROMPT + STEPS, 0, halves.vocabSize()).toArray();
      expected = logits(halves, tokens);
    }
    TracedDevice device = TracedDevice.create();
    try (ModelWeights weights = ModelWeights.of(Checkpoint.open(model))) {
      KernelCatalog kernels =
          new KernelCatalog(
              device.open(),
              System.getProperty("image", "sm_90a"),
              image -> image.name().getBytes(StandardCharsets.US_ASCII));
      try (CudaEngine engine =
          CudaEngine.create(
              weights,
              DeviceUpload::of,
              new ModelOptions(64, SEQUENCES, 1),
              kernels,
              Device.cuda(0))) {
        run(engine, device, tokens, expected);
      }
    }
    assertEquals(0, device.unmet());
    assertTrue(device.launches() > 100, () -> "launches: " + device.launches());
    String kept = System.getProperty("traces");
    device.write((kept == null ? folder : Path.of(kept)).resolve(name + ".trace"));
  }

  /** Logits of a prompt, and of steps after it. */
  private static float[] logits(CpuEngine engine, int[] tokens) {
    int vocab = engine.vocabSize();
    float[] all =
        Arrays.copyOf(
            TestModels.logits(engine, Arrays.copyOf(tokens, PROMPT)), tokens.length * vocab);
    try (Sequence sequence = engine.open(SamplingParameters.GREEDY)) {
      engine.append(sequence, Arrays.copyOf(tokens, PROMPT));
      for (int i = PROMPT; i < tokens.length; i++) {
        engine.step(new Sequence[] {sequence}, 1, new int[] {tokens[i]});
        System.arraycopy(engine.lastLogits(), 0, all, i * vocab, vocab);
      }
    }
    return all;
  }

  private Path model(String name) throws IOException {
    if (!name.startsWith("W")) {
      return TestModels.resource("tiny/" + name);
    }
    Path packed = Files.createDirectory(folder.resolve("packed"));
    SyntheticModel.ofKeptColumns(QuantScheme.parse(name), SEED).writePacked(packed);
    return packed;
  }

  /** A prompt's logits, then those of steps of ever more sequences. */
  private static void run(CudaEngine engine, TracedDevice device, int[] tokens, float[] logits) {
    int vocab = engine.vocabSize();
    int stride = Math.ceilDiv(vocab, 8) * 8;
    int[] prompt = Arrays.copyOf(tokens, PROMPT);
    Sequence[] batch = new Sequence[SEQUENCES];
    for (int i = 0; i < SEQUENCES; i++) {
      batch[i] = engine.open(SAMPLING);
    }
    device.expect(Arrays.copyOf(logits, PROMPT * vocab), vocab, stride, ERROR);
    engine.score(batch[0], prompt, (_, _, _) -> {});
    for (int i = 1; i < SEQUENCES; i++) {
      engine.append(batch[i], prompt);
    }
    int first = 0;
    for (int count : new int[] {1, SEQUENCES - 1, SEQUENCES}) {
      Sequence[] stepped =
          count == SEQUENCES ? batch : Arrays.copyOfRange(batch, first, first + count);
      int[] next = new int[count];
      for (int i = 0; i < count; i++) {
        int at = stepped[i].length();
        next[i] = tokens[at];
        device.expect(
            Arrays.copyOfRange(logits, at * vocab, (at + 1) * vocab), vocab, stride, ERROR);
      }
      engine.step(stepped, count, next);
      first += count;
    }
  }
}
