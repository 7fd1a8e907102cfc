package dev.nibble.quantizer.tokenizer;

import dev.nibble.quantizer.format.ModelFile;
import dev.nibble.quantizer.format.ModelFormatException;
import java.io.IOException;
import java.nio.file.Path;

/** What a tokenizer file may cost, so that a hostile one is refused before it is believed. */
final class TokenizerLimits {
  static final int MAX_TOKENS = 1 << 20;

  /** UTF-16 units of one token's text. */
  static final int MAX_TOKEN_LENGTH = 512;

  static final int MAX_MERGES = 1 << 21;
  static final int MAX_FILE_BYTES = 128 << 20;

  private TokenizerLimits() {}

  /** All bytes of a file that is no larger than {@link #MAX_FILE_BYTES}. */
  static byte[] read(Path file) throws IOException {
    return ModelFile.read(file, MAX_FILE_BYTES);
  }

  /** Refuses a token text that is empty or too long. */
  static void checkToken(Path file, String field, String token) throws ModelFormatException {
    if (token.isEmpty() || token.length() > MAX_TOKEN_LENGTH) {
      throw new ModelFormatException(
          file,
          field,
          "a token of " + token.length() + " characters, expected 1 to " + MAX_TOKEN_LENGTH);
    }
  }
}
