package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.TestModels;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What else runs beside a sequence, or how its prompt is cut, changes no bit of it. */
class BatchInvarianceTest {
  private static final int MOST = 17;
  private static final int STEPS = 4;
  private static final ModelOptions OPTIONS =
      ModelOptions.DEFAULT.withContextLength(64).withSequences(MOST);

  @ParameterizedTest
  @ValueSource(strings = {"W16A16", "W16A8", "W4A16g128", "W3A8g32sym", "W4A4Q4KV4H8"})
  void batchesOf3And17EqualEachAlone(String scheme) {
    try (CpuEngine engine = engine(scheme)) {
      int[][] prompts = prompts(engine.vocabSize());
      float[][] alone = new float[MOST][];
      int[][] tokens = new int[MOST][];
      for (int i = 0; i < MOST; i++) {
        float[][] logits = new float[1][];
        tokens[i] = decode(engine, new int[][] {prompts[i]}, logits)[0];
        alone[i] = logits[0];
      }
      for (int batch : new int[] {3, MOST}) {
        float[][] logits = new float[batch][];
        int[][] together = decode(engine, Arrays.copyOf(prompts, batch), logits);
        for (int i = 0; i < batch; i++) {
          assertArrayEquals(tokens[i], together[i], "sequence " + i + " of " + batch);
          assertArrayEquals(alone[i], logits[i], "sequence " + i + " of " + batch);
        }
      }
    }
  }

  @Test
  void cuttingThePromptChangesNothing() {
    try (CpuEngine engine = engine("W4A8g128KV4")) {
      int[] prompt = Arrays.copyOf(prompts(engine.vocabSize())[MOST - 1], 33);
      float[] whole = TestModels.logits(engine, prompt);
      int vocab = engine.vocabSize();
      for (int cut : new int[] {1, 7, 31, 32}) {
        try (Sequence sequence = engine.open(SamplingParameters.GREEDY)) {
          engine.append(sequence, Arrays.copyOf(prompt, cut));
          engine.score(
              sequence,
              Arrays.copyOfRange(prompt, cut, prompt.length),
              (first, count, logits) ->
                  assertArrayEquals(
                      Arrays.copyOfRange(
                          whole, (cut + first) * vocab, (cut + first + count) * vocab),
                      Arrays.copyOf(logits, count * vocab)));
        }
      }
    }
  }

  @Test
  void whatIsTruncatedLeavesNoTrace() {
    try (CpuEngine engine = engine("W4A16g128KV3")) {
      int[] prompt = prompts(engine.vocabSize())[5];
      try (Sequence sequence = engine.open(SamplingParameters.GREEDY)) {
        int first = engine.prefill(sequence, prompt);
        engine.append(sequence, prompts(engine.vocabSize())[6]);
        sequence.truncate(prompt.length - 1);
        assertEquals(prompt.length - 1, sequence.length());
        assertEquals(first, engine.prefill(sequence, new int[] {prompt[prompt.length - 1]}));
      }
    }
  }

  private static CpuEngine engine(String scheme) {
    QuantScheme parsed = QuantScheme.parse(scheme);
    return CpuEngine.create(ModelWeights.synthetic("books-8m", parsed), OPTIONS);
  }

  /** Greedy tokens of sequences stepped together, and the logits of the last step. */
  private static int[][] decode(CpuEngine engine, int[][] prompts, float[][] logits) {
    int count = prompts.length;
    Sequence[] sequences = new Sequence[count];
    int[] next = new int[count];
    int[][] tokens = new int[count][STEPS + 1];
    for (int i = 0; i < count; i++) {
      sequences[i] = engine.open(SamplingParameters.GREEDY);
      next[i] = engine.prefill(sequences[i], prompts[i]);
      tokens[i][0] = next[i];
    }
    for (int step = 1; step <= STEPS; step++) {
      engine.step(sequences, count, next);
      for (int i = 0; i < count; i++) {
        tokens[i][step] = next[i];
      }
    }
    int vocab = engine.vocabSize();
    for (int i = 0; i < count; i++) {
      logits[i] = Arrays.copyOfRange(engine.lastLogits(), i * vocab, (i + 1) * vocab);
      sequences[i].close();
    }
    return tokens;
  }

  private static int[][] prompts(int vocab) {
    Random random = new Random(17);
    int[][] prompts = new int[MOST][];
    for (int i = 0; i < MOST; i++) {
      prompts[i] = random.ints(1 + 2 * i, 0, vocab).toArray();
    }
    return prompts;
  }
}
