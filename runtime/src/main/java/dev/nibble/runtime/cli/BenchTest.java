package dev.nibble.runtime.cli;

import dev.nibble.runtime.engine.Engine;
import dev.nibble.runtime.engine.SamplingParameters;
import dev.nibble.runtime.engine.Sequence;
import dev.nibble.runtime.model.ModelOptions;
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
    long positions = (long) depth + promptTokens + generatedTokens;
    if (positions > ModelOptions.MAX_CONTEXT) {
      throw new IllegalArgumentException(
          name() + ": expected at most " + ModelOptions.MAX_CONTEXT + " tokens in a sequence");
    }
    return (int) positions;
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
      long[] ignored = new long[calls()];
      do {
        once(engine, sequences, prompt, tokens, ignored, 0);
      } while (System.nanoTime() - warmUpEnd < 0);
      long[] nanos = new long[repetitions];
      long[] callNanos = new long[Math.multiplyExact(repetitions, calls())];
      long[] waited = new long[repetitions];
      for (int i = 0; i < repetitions; i++) {
        long before = engine.waitedNanos();
        nanos[i] = once(engine, sequences, prompt, tokens, callNanos, i * calls());
        waited[i] = engine.waitedNanos() - before;
      }
      return new BenchResult(this, nanos, callNanos, waited);
    } finally {
      for (Sequence sequence : sequences) {
        if (sequence != null) {
          sequence.close();
        }
      }
    }
  }

  /** Calls of the engine in a run: a prefill of each sequence, or the decode steps. */
  private int calls() {
    return promptTokens > 0 ? batch : generatedTokens;
  }

  /** Time of a run, and into an array the time of each of its calls. */
  private long once(
      Engine engine, Sequence[] sequences, int[] prompt, int[] tokens, long[] calls, int at) {
    for (Sequence sequence : sequences) {
      sequence.truncate(depth);
    }
    engine.awaitIdle();
    long start = System.nanoTime();
    long before = start;
    for (int i = 0; i < calls(); i++) {
      if (promptTokens > 0) {
        engine.prefill(sequences[i], prompt);
      } else {
        engine.step(sequences, batch, tokens);
      }
      long now = System.nanoTime();
      calls[at + i] = now - before;
      before = now;
    }
    return before - start;
  }

  private static int[] ids(Random random, int count, int vocabulary) {
    return random.ints(count, 0, vocabulary).toArray();
  }
}
