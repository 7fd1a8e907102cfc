package dev.nibble.runtime.generate;

/** Receives text while it is generated, on the generating thread. */
@FunctionalInterface
public interface GenerationListener {
  /** Takes nothing. */
  GenerationListener NONE = text -> {};

  /**
   * Takes the next piece. It may call {@link Session#cancel}.
   *
   * @param text whole code points, never empty, never part of a stop string
   */
  void text(String text);
}
