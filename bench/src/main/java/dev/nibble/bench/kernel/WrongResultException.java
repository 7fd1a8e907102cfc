package dev.nibble.bench.kernel;

/** An operation gave something else than the plain loops, so it is not timed. */
public final class WrongResultException extends RuntimeException {
  private static final long serialVersionUID = 1;

  WrongResultException(String message) {
    super(message);
  }
}
