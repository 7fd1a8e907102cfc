package dev.nibble.runtime.cli;

import dev.nibble.quantizer.tokenizer.Tokenizer;
import java.nio.file.Path;

/** The tokens of a text whose perplexity is measured. */
final class ScoredText {
  private ScoredText() {}

  /**
   * Encodes a text and checks that it can be scored.
   *
   * @param source what it was read from, for messages
   * @param text the text
   * @param context tokens of a window
   * @throws UnfitInputException if the text is shorter than one window
   */
  static int[] ids(Path source, String text, Tokenizer tokenizer, int context)
      throws UnfitInputException {
    int[] ids = tokenizer.encode(text, false);
    if (ids.length < context) {
      throw new UnfitInputException(
          source
              + ": expected at least one window of "
              + context
              + " tokens, found "
              + ids.length
              + " tokens");
    }
    return ids;
  }
}
