package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.cache.KvCache;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class CpuEngineMemoryTest {
  private static final int SEQUENCES = 2;
  private static final int CONTEXT = 1024;

  /** Steps after which the vector loops are compiled and in use. */
  private static final int WARM_UP = 300;

  private static final int ROUNDS = 40;
  private static final int STEPS = 12;
  private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

  @ParameterizedTest
  @ValueSource(strings = {"W16A16", "W4A16g128", "W4A8g128KV4"})
  void decodeAllocatesNothing(String scheme) {
    ModelOptions options = ModelOptions.DEFAULT.withContextLength(CONTEXT).withSequences(SEQUENCES);
    ModelWeights weights = ModelWeights.synthetic("books-8m", QuantScheme.parse(scheme));
    try (CpuEngine engine = CpuEngine.create(weights, options)) {
      SamplingParameters sampled = new SamplingParameters(0.8f, 40, 0.95f, 0.05f, 1.1f, 7);
      Sequence[] sequences = {engine.open(SamplingParameters.GREEDY), engine.open(sampled)};
      int[] tokens = {
        engine.prefill(sequences[0], new int[] {5, 6, 7}),
        engine.prefill(sequences[1], new int[] {9})
      };
      step(engine, sequences, tokens, WARM_UP);
      long[] threads = THREADS.getAllThreadIds();
      long allocated = Long.MAX_VALUE;
      // It takes the compilers some steps to find what needs no object, and other threads of the
      // test runner allocate now and then: one round without any is the proof.
      for (int round = 0; round < ROUNDS && allocated > 0; round++) {
        long start = allocatedBytes(threads);
        long before = allocatedBytes(threads);
        step(engine, sequences, tokens, STEPS);
        long costOfReading = before - start;
        allocated = allocatedBytes(threads) - before - costOfReading;
      }
      assertEquals(0, allocated, "bytes in " + STEPS + " steps");
    }
  }

  @ParameterizedTest
  @CsvSource({"32, 64", "16, 64", "8, 64", "4, 64", "3, 64", "3, 4096"})
  void theCacheTakesWhatIsPlanned(int bits, int context) {
    ModelWeights weights = ModelWeights.synthetic("books-8m", QuantScheme.W16A16);
    var config = weights.config();
    KvCache cache = new KvCache(config, bits, context);
    long bytes = 0;
    for (int layer = 0; layer < config.layers(); layer++) {
      bytes += cache.layer(layer).bytes();
    }
    long planned = context * KvCache.bytesPerToken(config, bits);
    long slackOfALayer = 64;
    assertTrue(bytes - planned >= 0 && bytes - planned <= config.layers() * slackOfALayer);
    weights.close();
  }

  @Test
  void theWorkspaceTakesWhatIsPlanned() {
    ModelWeights weights = ModelWeights.synthetic("books-8m", QuantScheme.W16A16);
    WorkspaceShape shape = WorkspaceShape.of(weights, ModelOptions.DEFAULT);
    long before = THREADS.getCurrentThreadAllocatedBytes();
    Workspace workspace = new Workspace(shape);
    Sampler.Scratch scratch = new Sampler.Scratch(shape.vocab());
    long allocated = THREADS.getCurrentThreadAllocatedBytes() - before;
    assertEquals(1, (double) allocated / shape.bytes(), 0.01);
    assertTrue(workspace.x.length > 0 && scratch != null);
    weights.close();
  }

  private static void step(CpuEngine engine, Sequence[] sequences, int[] tokens, int steps) {
    for (int i = 0; i < steps; i++) {
      engine.step(sequences, SEQUENCES, tokens);
    }
  }

  private static long allocatedBytes(long[] threads) {
    long sum = 0;
    for (long bytes : THREADS.getThreadAllocatedBytes(threads)) {
      sum += Math.max(bytes, 0);
    }
    return sum;
  }
}
