package dev.nibble.runtime.generate;

/**
 * Perplexity of a text: exp of the mean next-token loss over non-overlapping windows, each without
 * a beginning-of-text token, {@code context - 1} losses a window.
 *
 * @param perplexity the perplexity
 * @param tokensScored losses in the mean
 * @param windows windows scored
 */
public record Perplexity(double perplexity, long tokensScored, int windows) {
  /**
   * Measures a text.
   *
   * @param model the model; needs a context of at least {@code context} and one free sequence
   * @param text the text, encoded once
   * @param context tokens of a window, at least 2
   * @param maxWindows windows to score, from the start; {@link Integer#MAX_VALUE} for all
   * @param listener told after each window
   * @return the perplexity
   * @throws IllegalArgumentException if the text is shorter than one window, or the context longer
   *     than the model's
   */
  public static Perplexity measure(
      Model model, String text, int context, int maxWindows, Progress listener) {
    return later();
  }

  @SuppressWarnings("TypeParameterUnusedInFormals")
  private static <T> T later() {
    throw new IllegalStateException("not written yet");
  }

  /** Hears how far a measurement is. */
  @FunctionalInterface
  public interface Progress {
    /**
     * A window is done.
     *
     * @param done windows scored
     * @param total windows to score
     * @param perplexity of those done
     */
    void window(int done, int total, double perplexity);
  }
}
