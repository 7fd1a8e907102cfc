package dev.nibble.runtime.cli;

import java.io.IOException;

/** Input that is sound in itself but not what the command can work with. */
final class UnfitInputException extends IOException {
  private static final long serialVersionUID = 1L;

  UnfitInputException(String message) {
    super(message);
  }
}
