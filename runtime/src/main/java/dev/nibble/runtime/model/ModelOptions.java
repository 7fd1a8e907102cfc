package dev.nibble.runtime.model;

import dev.nibble.quantizer.format.ModelConfig;

/**
 * What an engine is made for. Its memory follows from these.
 *
 * @param contextLength positions a sequence holds, {@value #MAX_CONTEXT} at most; 0 for the model's
 *     own limit or {@value #DEFAULT_CONTEXT}, whichever is less
 * @param sequences sequences open at once, 1 to {@value #MAX_SEQUENCES}
 * @param threads CPU threads; 0 for one a core
 */
public record ModelOptions(int contextLength, int sequences, int threads) {
  /** Longest context taken unasked. */
  public static final int DEFAULT_CONTEXT = 4096;

  /** Longest context there is; beyond it sizes would not be numbers of the platform. */
  public static final int MAX_CONTEXT = 1 << 24;

  /** Most sequences of an engine. */
  public static final int MAX_SEQUENCES = 256;

  /** One sequence of the default context on every core. */
  public static final ModelOptions DEFAULT = new ModelOptions(0, 1, 0);

  /** Checks the ranges. */
  public ModelOptions {
    require(
        contextLength >= 0 && contextLength <= MAX_CONTEXT,
        "context",
        contextLength,
        "0 to " + MAX_CONTEXT);
    require(sequences >= 1 && sequences <= MAX_SEQUENCES, "sequences", sequences, "1 to 256");
    require(threads >= 0 && threads <= 1024, "threads", threads, "0 to 1024");
  }

  private static void require(boolean holds, String name, int value, String expected) {
    if (!holds) {
      throw new IllegalArgumentException(name + " " + value + ": expected " + expected);
    }
  }

  /**
   * These options with another context length.
   *
   * @param tokens positions a sequence holds; 0 for the default
   * @return the options
   */
  public ModelOptions withContextLength(int tokens) {
    return new ModelOptions(tokens, sequences, threads);
  }

  /**
   * These options with another number of sequences.
   *
   * @param count sequences open at once
   * @return the options
   */
  public ModelOptions withSequences(int count) {
    return new ModelOptions(contextLength, count, threads);
  }

  /**
   * These options with another number of threads.
   *
   * @param count CPU threads; 0 for one a core
   * @return the options
   */
  public ModelOptions withThreads(int count) {
    return new ModelOptions(contextLength, sequences, count);
  }

  /**
   * Positions a sequence of a model holds under these options.
   *
   * @param config the model's shape
   * @return tokens
   * @throws IllegalArgumentException if more are asked for than the model was made for
   */
  public int contextLength(ModelConfig config) {
    if (contextLength > config.maxPositions()) {
      throw new IllegalArgumentException(
          "context " + contextLength + ": the model was made for " + config.maxPositions());
    }
    return contextLength == 0 ? Math.min(config.maxPositions(), DEFAULT_CONTEXT) : contextLength;
  }
}
