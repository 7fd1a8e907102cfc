package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Element;
import dev.nibble.runtime.kernel.GpuFixture;
import dev.nibble.runtime.kernel.KernelTest;
import dev.nibble.runtime.kernel.MatrixRows;
import dev.nibble.runtime.kernel.TokenSampler;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** sample against the CPU's sampler: the same draws from the same seeds. */
@KernelTest
class TokenSamplerGpuTest {
  /**
   * Fixed: the device's exponentials are float's, so that one draw in many thousands may differ.
   */
  private static final long SEED = 20_261_122L;

  private static final int DRAWS = 5;

  private static final SamplingParameters[] RULES = {
    SamplingParameters.GREEDY,
    rule(1, 0, 1, 0),
    rule(0.7f, 0, 1, 0),
    rule(1, 1, 1, 0),
    rule(1.5f, 40, 1, 0),
    rule(1, 0, 0.9f, 0),
    rule(1, 0, 0.1f, 0),
    rule(0.8f, 50, 0.95f, 0),
    rule(1, 0, 1, 0.05f),
    rule(1.3f, 20, 0.8f, 0.02f)
  };

  private static GpuFixture gpu;
  private static TokenSampler sampler;

  @BeforeAll
  static void open() {
    gpu = GpuFixture.open(TokenSamplerGpuTest.class);
    sampler = new TokenSampler(gpu.kernels());
  }

  @AfterAll
  static void close() {
    gpu.close();
  }

  private static SamplingParameters rule(float temperature, int topK, float topP, float minP) {
    return new SamplingParameters(temperature, topK, topP, minP, 1, 0);
  }

  /** Of so many rows, in turn by all rules, one has logits that are not finite, and one is idle. */
  @ParameterizedTest
  @CsvSource({
    "1, 12, 0",
    "7, 12, 0",
    "33, 12, 0",
    "1000, 12, 0",
    "4097, 12, 0",
    "32000, 12, 0",
    "128256, 12, 0",
    "1000, 1, 0",
    "1000, 1, 7",
    "65, 2, 9",
    "7, 33, 0",
    "33, 129, 0"
  })
  void drawsAsTheCpuDoes(int vocab, int rows, int firstRule) {
    if (gpu.isTraced() && vocab > 10_000) {
      return;
    }
    Random random = new Random(SEED);
    int drawn = Math.max(1, rows - 2);
    MemorySegment parameters =
        MemorySegment.ofArray(new long[rows * TokenSampler.PARAMETERS_BYTES / Long.BYTES]);
    Sampler[] cpu = new Sampler[drawn];
    for (int r = 0; r < rows; r++) {
      SamplingParameters rule = RULES[(firstRule + r) % RULES.length];
      long seed = random.nextLong();
      TokenSampler.write(
          parameters,
          (long) r * TokenSampler.PARAMETERS_BYTES,
          seed,
          rule.temperature(),
          rule.topK(),
          rule.topP(),
          rule.minP());
      if (r < cpu.length) {
        cpu[r] = new Sampler(new Sampler.Scratch(vocab));
        cpu[r].start(
            new SamplingParameters(
                rule.temperature(), rule.topK(), rule.topP(), rule.minP(), 1, seed));
      }
    }
    DeviceRange rules = gpu.upload(parameters);
    TokenSampler.Scratch scratch =
        new TokenSampler.Scratch(
            gpu.room(TokenSampler.partialBytes(rows)),
            gpu.zeros((long) Integer.BYTES * rows),
            gpu.room(TokenSampler.candidateBytes(rows, vocab)));
    int[] positions = random.ints(rows, 1, 100).toArray();
    if (rows > 2) {
      positions[rows - 1] = -1;
    }
    DeviceRange at = gpu.ints(positions);
    DeviceRange tokens = gpu.ints(new int[rows]);
    TokenSampler.Results results = new TokenSampler.Results(gpu.kernels().device(), rows);
    for (int draw = 0; draw < DRAWS; draw++) {
      float[] logits = GpuFixture.gaussian(random, rows * vocab, 3);
      // Some equal ones at the top.
      for (int r = 0; r < rows; r++) {
        logits[r * vocab + random.nextInt(vocab)] = 9;
        logits[r * vocab + random.nextInt(vocab)] = 9;
      }
      if (rows > 1) {
        logits[drawn * vocab + random.nextInt(vocab)] = Float.NaN;
      }
      MatrixRows device = gpu.floatRows(logits, vocab);
      sampler.launch(gpu.stream(), device, vocab, rows, rules, at, scratch, tokens, results);
      float[] chosen = new float[rows];
      float[] moved = new float[rows];
      for (int r = 0; r < rows; r++) {
        moved[r] = -1;
        if (r < cpu.length) {
          moved[r] = positions[r] + draw + 1;
          chosen[r] = cpu[r].sample(logits, r * vocab, new int[0], 0);
        }
      }
      String what = rows + " rows of " + vocab + ", draw " + draw + ", " + Arrays.toString(chosen);
      gpu.expect(0, chosen, Element.INT, tokens, what);
      gpu.expect(0, moved, Element.INT, at, what + ", positions");
      if (!gpu.isTraced()) {
        gpu.stream().synchronize();
        for (int r = 0; r < cpu.length; r++) {
          assertEquals((int) chosen[r], results.token(r, positions[r] + draw), what + ", result");
        }
        if (rows > 1) {
          assertEquals(-1, results.token(drawn, positions[drawn]), what + ", not finite");
        }
      }
    }
  }
}
