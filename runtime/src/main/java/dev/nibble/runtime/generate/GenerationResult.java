package dev.nibble.runtime.generate;

import java.util.List;

/**
 * What a generation gave.
 *
 * @param text the text, without the stop string
 * @param tokens generated ids, the ending one included
 * @param promptTokens tokens of the prompt
 * @param cachedTokens how many of them the session's cache held already
 * @param finishReason why it ended
 * @param prefillNanos time until the first token was chosen
 * @param decodeNanos time from there to the end
 */
public record GenerationResult(
    String text,
    List<Integer> tokens,
    int promptTokens,
    int cachedTokens,
    FinishReason finishReason,
    long prefillNanos,
    long decodeNanos) {
  /** Copies the tokens. */
  public GenerationResult {
    tokens = List.copyOf(tokens);
  }

  /** Why a generation ended. */
  public enum FinishReason {
    /** An end token or a stop string. */
    STOP,
    /** The token limit, or the end of the context. */
    LENGTH,
    /** {@link Session#cancel}. */
    CANCELLED
  }

  /**
   * Speed of the tokens after the first, which prefill gives.
   *
   * @return tokens a second; 0 when there was none
   */
  public double decodeTokensPerSecond() {
    return tokens.size() < 2 || decodeNanos <= 0 ? 0 : (tokens.size() - 1) * 1e9 / decodeNanos;
  }
}
