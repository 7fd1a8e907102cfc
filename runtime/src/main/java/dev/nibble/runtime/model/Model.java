package dev.nibble.runtime.model;

/** A loaded model. */
public final class Model {
  private Model() {}
}
