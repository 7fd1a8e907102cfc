package dev.nibble.runtime.generate;

/** One conversation or completion. */
public final class Session {
  private Session() {}
}
