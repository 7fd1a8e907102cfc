package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.nibble.runtime.GpuTest;
import dev.nibble.runtime.TestModels;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Decode steps on a GPU: enqueued ahead or not, and without allocation. */
@GpuTest
class CudaStepsGpuTest {
  private static final com.sun.management.ThreadMXBean THREADS =
      (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();

  private static Engine gpu(ModelOptions options) throws IOException {
    return TestModels.engine(TestModels.books8m(), Device.cuda(0), options);
  }

  @Test
  void aDecodeStepAllocatesNothing() throws IOException {
    try (Engine engine = gpu(ModelOptions.DEFAULT);
        Sequence sequence = engine.open(SamplingParameters.GREEDY)) {
      Sequence[] batch = {sequence};
      int[] token = {engine.prefill(sequence, TestModels.text(17))};
      long allocated = Long.MAX_VALUE;
      // Until it is compiled, a step may.
      for (int round = 0; round < 20 && allocated > 0; round++) {
        long before = THREADS.getCurrentThreadAllocatedBytes();
        steps(engine, batch, token, 50);
        allocated = THREADS.getCurrentThreadAllocatedBytes() - before;
      }
      assertEquals(0, allocated);
    }
  }

  private static void steps(Engine engine, Sequence[] batch, int[] token, int count) {
    for (int i = 0; i < count; i++) {
      engine.step(batch, 1, token);
    }
  }

  /** Something between two steps, after which all sequences are what they were. */
  @FunctionalInterface
  private interface Between {
    void run(Sequence[] batch, int[] tokens) throws IOException;
  }

  @Test
  void stepsChooseTheSameWhetherTheyWereForetoldOrNot() throws IOException {
    SamplingParameters drawn = new SamplingParameters(0.8f, 40, 0.95f, 0.02f, 1f, 1234);
    // Of the graph of four rows, one is idle.
    try (Engine engine = gpu(new ModelOptions(64, 5, 0));
        Sequence another = engine.open(SamplingParameters.GREEDY)) {
      Between prompt =
          (_, _) -> {
            another.truncate(0);
            engine.prefill(another, TestModels.text(40));
          };
      for (SamplingParameters rules : new SamplingParameters[] {SamplingParameters.GREEDY, drawn}) {
        int[][] expected = generate(engine, rules, 1, prompt);
        assertArrayEquals(expected, generate(engine, rules, 3, prompt), "prompts " + rules);
        assertArrayEquals(expected, generate(engine, rules, 1, (_, _) -> {}), "steady " + rules);
      }
      int[][] greedy = generate(engine, SamplingParameters.GREEDY, 1, prompt);
      for (Map.Entry<String, Between> between : disturbances(engine, drawn).entrySet()) {
        assertArrayEquals(
            greedy,
            generate(engine, SamplingParameters.GREEDY, 3, between.getValue()),
            between.getKey());
      }
    }
  }

  /** Of sequences that are sampled greedily, for a draw cannot be taken back. */
  private static Map<String, Between> disturbances(Engine engine, SamplingParameters drawn) {
    return Map.of(
        "other tokens",
        (batch, tokens) -> stepInVain(engine, batch, new int[] {1, 2, tokens[2]}),
        "other order",
        (batch, tokens) ->
            stepInVain(
                engine,
                new Sequence[] {batch[2], batch[1], batch[0]},
                new int[] {tokens[2], tokens[1], tokens[0]}),
        "fewer",
        (batch, tokens) -> stepInVain(engine, new Sequence[] {batch[0]}, new int[] {tokens[0]}),
        "the same again",
        (batch, tokens) -> stepInVain(engine, batch, tokens.clone()),
        "other rules",
        (batch, tokens) -> {
          batch[1].sampling(drawn);
          stepInVain(engine, batch, tokens.clone());
          batch[1].sampling(SamplingParameters.GREEDY);
        },
        "a slot used again",
        (_, _) -> {
          for (int use = 0; use < 2; use++) {
            try (Sequence passing = engine.open(SamplingParameters.GREEDY)) {
              int[] token = {engine.prefill(passing, TestModels.text(9 + use))};
              steps(engine, new Sequence[] {passing}, token, 4);
            }
          }
        });
  }

  private static void stepInVain(Engine engine, Sequence[] batch, int[] tokens) {
    engine.step(batch, batch.length, tokens);
    for (Sequence sequence : batch) {
      sequence.truncate(sequence.length() - 1);
    }
  }

  /**
   * The tokens of three sequences to the end of the context, with something before each n-th step.
   */
  private static int[][] generate(
      Engine engine, SamplingParameters rules, int every, Between between) throws IOException {
    Sequence[] batch = new Sequence[3];
    int[] tokens = new int[batch.length];
    for (int i = 0; i < batch.length; i++) {
      batch[i] = engine.open(rules);
      tokens[i] = engine.prefill(batch[i], TestModels.text(17 + i));
    }
    int[][] generated = new int[engine.contextLength() - batch[2].length() + 1][];
    for (int step = 0; step < generated.length - 1; step++) {
      generated[step] = tokens.clone();
      if (step % every == every - 1) {
        between.run(batch, tokens);
      }
      engine.step(batch, batch.length, tokens);
    }
    generated[generated.length - 1] = tokens;
    for (Sequence sequence : batch) {
      sequence.close();
    }
    return generated;
  }
}
