package dev.nibble.runtime.engine;

/**
 * How the next token is chosen. Temperature 0 is greedy: the largest logit, the smallest id among
 * equals.
 *
 * @param temperature logits are divided by it; 0 for greedy
 * @param topK keep the k most likely; 0 for all
 * @param topP keep the most likely whose probabilities reach p; 1 for all
 * @param minP drop what is less likely than minP times the most likely; 0 for none
 * @param repetitionPenalty divides positive and multiplies negative logits of tokens seen; 1 for
 *     none
 * @param seed of the sequence's own random numbers
 */
public record SamplingParameters(
    float temperature, int topK, float topP, float minP, float repetitionPenalty, long seed) {
  /** Greedy decoding. */
  public static final SamplingParameters GREEDY = new SamplingParameters(0f, 0, 1f, 0f, 1f, 0L);

  /** Checks the ranges. */
  public SamplingParameters {
    require(temperature >= 0 && temperature < Float.POSITIVE_INFINITY, "temperature", temperature);
    require(topK >= 0, "top-k", topK);
    require(topP > 0 && topP <= 1, "top-p", topP);
    require(minP >= 0 && minP <= 1, "min-p", minP);
    require(
        repetitionPenalty > 0 && repetitionPenalty < Float.POSITIVE_INFINITY,
        "repetition penalty",
        repetitionPenalty);
  }

  private static void require(boolean holds, String name, Number value) {
    if (!holds) {
      throw new IllegalArgumentException(name + " " + value + " is out of range");
    }
  }
}
