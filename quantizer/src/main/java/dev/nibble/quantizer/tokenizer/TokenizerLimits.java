package dev.nibble.quantizer.tokenizer;

import dev.nibble.quantizer.format.ModelFormatException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
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
    try (InputStream in = Files.newInputStream(file)) {
      byte[] bytes = in.readNBytes(MAX_FILE_BYTES + 1);
      if (bytes.length > MAX_FILE_BYTES) {
        throw new ModelFormatException(
            file, "size", "a tokenizer file of more than " + MAX_FILE_BYTES + " bytes");
      }
      return bytes;
    }
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
