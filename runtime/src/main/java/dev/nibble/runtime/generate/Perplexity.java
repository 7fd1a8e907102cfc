package dev.nibble.runtime.generate;

import dev.nibble.runtime.engine.Engine;
import java.util.Arrays;

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
    return measure(model, model.tokenizer().encode(text, false), context, maxWindows, listener);
  }

  /**
   * Measures.
   *
   * @param model loaded with a context of at least {@code context}, and a free sequence
   * @param ids of the text, without a beginning-of-text token
   * @param context tokens of a window, at least 2
   * @param maxWindows windows to score, from the start; {@link Integer#MAX_VALUE} for all
   * @param listener told after each window
   * @return the perplexity
   * @throws IllegalArgumentException if the text is shorter than one window, or the context longer
   *     than the model's
   */
  public static Perplexity measure(
      Model model, int[] ids, int context, int maxWindows, Progress listener) {
    if (context < 2 || context > model.contextLength()) {
      throw new IllegalArgumentException(
          "context " + context + ": expected 2 to " + model.contextLength());
    }
    if (maxWindows < 1) {
      throw new IllegalArgumentException("windows " + maxWindows + ": expected 1 or more");
    }
    int windows = Math.min(maxWindows, ids.length / context);
    if (windows == 0) {
      throw new IllegalArgumentException(
          "the text has " + ids.length + " tokens, less than one window of " + context);
    }
    Losses losses = new Losses(model.config().vocabSize());
    for (int w = 0; w < windows; w++) {
      losses.window = Arrays.copyOfRange(ids, w * context, (w + 1) * context);
      model.score(losses.window, losses);
      listener.window(w + 1, windows, losses.perplexity());
    }
    return new Perplexity(losses.perplexity(), losses.count, windows);
  }

  /** Adds up the losses of next tokens, in double precision. */
  private static final class Losses implements Engine.LogitsSink {
    private final int vocab;
    private int[] window = {};
    private double sum;
    private long count;

    Losses(int vocab) {
      this.vocab = vocab;
    }

    double perplexity() {
      return Math.exp(sum / count);
    }

    @Override
    public void accept(int firstToken, int tokens, float[] logits) {
      for (int t = 0; t < tokens && firstToken + t + 1 < window.length; t++) {
        sum += loss(logits, t * vocab, window[firstToken + t + 1]);
        count++;
      }
    }

    private double loss(float[] logits, int offset, int target) {
      float largest = Float.NEGATIVE_INFINITY;
      for (int i = offset; i < offset + vocab; i++) {
        largest = Math.max(largest, logits[i]);
      }
      double total = 0;
      for (int i = offset; i < offset + vocab; i++) {
        total += Math.exp((double) logits[i] - largest);
      }
      return Math.log(total) + largest - logits[offset + target];
    }
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
