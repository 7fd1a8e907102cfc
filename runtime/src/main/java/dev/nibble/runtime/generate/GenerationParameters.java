package dev.nibble.runtime.generate;

import dev.nibble.runtime.engine.SamplingParameters;
import java.util.List;

/**
 * How long a generation goes on and how its tokens are chosen.
 *
 * @param maxTokens most tokens to generate, at least 1
 * @param sampling how tokens are chosen
 * @param stop texts that end the generation and are not part of it
 */
public record GenerationParameters(int maxTokens, SamplingParameters sampling, List<String> stop) {
  /** Checks and copies. */
  public GenerationParameters {
    stop = List.copyOf(stop);
    if (maxTokens < 1) {
      throw new IllegalArgumentException("max tokens " + maxTokens + ": expected 1 or more");
    }
    if (stop.contains("")) {
      throw new IllegalArgumentException("a stop string is empty");
    }
  }

  /**
   * Greedy decoding without stop strings.
   *
   * @param maxTokens most tokens to generate
   * @return the parameters
   */
  public static GenerationParameters greedy(int maxTokens) {
    return new GenerationParameters(maxTokens, SamplingParameters.GREEDY, List.of());
  }
}
