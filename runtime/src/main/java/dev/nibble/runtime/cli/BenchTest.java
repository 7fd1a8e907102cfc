package dev.nibble.runtime.cli;

import dev.nibble.runtime.engine.Engine;
import dev.nibble.runtime.engine.SamplingParameters;
import dev.nibble.runtime.engine.Sequence;
import java.util.Random;

/**
 * One measurement: prefill of prompts, or decode steps; the other count is 0.
 *
 * @param promptTokens tokens prefilled to each sequence
 * @param generatedTokens decode steps
 * @param depth tokens in each sequence beforehand
 * @param batch sequences
 */
record BenchTest(int promptTokens, int generatedTokens, int depth, int batch) {
  private static final long SEED = 42;

  /** Its name, as llama-bench gives it, with the number of sequences where there are several. */
  String name() {
    String what = promptTokens > 0 ? "pp" + promptTokens : "tg" + generatedTokens;
    return what + (depth == 0 ? "" : " @ d" + depth) + (batch == 1 ? "" : " x " + batch);
  }

  /** Positions a sequence needs. */
  int context() {
    return Math.addExact(depth, Math.addExact(promptTokens, generatedTokens));
  }

  /** Tokens of one run, all sequences together. */
  long tokens() {
    return Math.multiplyExact((long) batch, promptTokens + generatedTokens);
  }

  /**
   * Measures.
   *
   * @param engine with room for the test
   * @param warmUpNanos time to run it beforehand, once at least, so that its code is compiled
   * @param repetitions runs that count
   */
  BenchResult run(Engine engine, long warmUpNanos, int repetitions) {
    Sequence[] sequences = new Sequence[batch];
    try {
      Random random = new Random(SEED);
      for (int b = 0; b < batch; b++) {
        sequences[b] = engine.open(SamplingParameters.GREEDY);
        if (depth > 0) {
          engine.append(sequences[b], ids(random, depth, engine.vocabSize()));
        }
      }
      int[] prompt = ids(random, promptTokens, engine.vocabSize());
      int[] tokens = ids(random, batch, engine.vocabSize());
      long warmUpEnd = System.nanoTime() + warmUpNanos;
      do {
        once(engine, sequences, prompt, tokens);
      } while (System.nanoTime() - warmUpEnd < 0);
      long[] nanos = new long[repetitions];
      for (int i = 0; i < repetitions; i++) {
        nanos[i] = once(engine, sequences, prompt, tokens);
      }
      return new BenchResult(this, nanos);
    } finally {
      for (Sequence sequence : sequences) {
        if (sequence != null) {
          sequence.close();
        }
      }
    }
  }

  private long once(Engine engine, Sequence[] sequences, int[] prompt, int[] tokens) {
    for (Sequence sequence : sequences) {
      sequence.truncate(depth);
    }
    long start = System.nanoTime();
    if (promptTokens > 0) {
      for (Sequence sequence : sequences) {
        engine.prefill(sequence, prompt);
      }
    } else {
      for (int i = 0; i < generatedTokens; i++) {
        engine.step(sequences, batch, tokens);
      }
    }
    return System.nanoTime() - start;
  }

  private static int[] ids(Random random, int count, int vocabulary) {
    return random.ints(count, 0, vocabulary).toArray();
  }
}
