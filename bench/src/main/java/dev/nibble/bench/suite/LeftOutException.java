package dev.nibble.bench.suite;

/** A step cannot be done on this machine; the message says why. */
final class LeftOutException extends Exception {
  private static final long serialVersionUID = 1;

  LeftOutException(String reason) {
    super(reason);
  }

  LeftOutException(String reason, Throwable cause) {
    super(reason, cause);
  }
}
