package dev.nibble.runtime.generate;

/**
 * One sequence and its key-value cache. Each call takes the whole text so far: the tokens it shares
 * with the cache are not computed again, so a conversation costs its new turn only. One thread
 * generates at a time; {@link #cancel} and {@link #close} may come from any thread.
 */
public final class Session implements AutoCloseable {
  Session() {}

  /**
   * Continues a text. The model's beginning-of-text token is put in front.
   *
   * @param prompt the whole text so far
   * @param parameters length, sampling, stop strings
   * @param listener receives the text as it comes
   * @return what was generated
   * @throws IllegalArgumentException if the prompt is empty or leaves no room in the context
   * @throws IllegalStateException if the session or the model is closed
   */
  public GenerationResult generate(
      String prompt, GenerationParameters parameters, GenerationListener listener) {
    return later();
  }

  /**
   * Continues tokens, such as an encoded conversation.
   *
   * @param prompt the ids of the whole text so far
   * @param parameters length, sampling, stop strings
   * @param listener receives the text as it comes
   * @return what was generated
   * @throws IllegalArgumentException if there are none, one is outside the vocabulary, or they
   *     leave no room in the context
   * @throws IllegalStateException if the session or the model is closed
   */
  public GenerationResult generate(
      int[] prompt, GenerationParameters parameters, GenerationListener listener) {
    return later();
  }

  /**
   * Ends the generation under way at its next token; it returns with {@link
   * GenerationResult.FinishReason#CANCELLED}. Without one, does nothing.
   */
  public void cancel() {
    later();
  }

  /** Gives the cache back; closing twice does nothing. */
  @Override
  public void close() {
    later();
  }

  @SuppressWarnings("TypeParameterUnusedInFormals")
  private static <T> T later() {
    throw new IllegalStateException("not written yet");
  }
}
