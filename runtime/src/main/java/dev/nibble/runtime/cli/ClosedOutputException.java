package dev.nibble.runtime.cli;

import java.io.IOException;

/** The reader of standard output has gone, as {@code head} does; nothing to complain about. */
final class ClosedOutputException extends IOException {
  private static final long serialVersionUID = 1L;

  ClosedOutputException(IOException cause) {
    super("standard output is closed", cause);
  }
}
