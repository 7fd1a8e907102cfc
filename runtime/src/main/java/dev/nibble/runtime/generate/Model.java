package dev.nibble.runtime.generate;

import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.tokenizer.Tokenizer;
import dev.nibble.runtime.engine.Engine;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.MemoryPlan;
import dev.nibble.runtime.model.ModelOptions;
import java.io.IOException;
import java.nio.file.Path;

/**
 * A loaded model: weights, tokenizer and the engine that runs them. Immutable and thread-safe;
 * sessions of several threads take turns, token by token.
 */
public final class Model implements AutoCloseable {
  private Model() {}

  /**
   * Loads a model with default options.
   *
   * @param folder a model folder, packed or not
   * @param device where to run it
   * @return the model
   * @throws dev.nibble.quantizer.format.ModelFormatException if a file breaks its format
   * @throws java.nio.file.NoSuchFileException if a file is missing
   * @throws IOException if reading fails
   * @throws dev.nibble.runtime.model.DeviceException if the device is absent
   */
  public static Model load(Path folder, Device device) throws IOException {
    return load(folder, device, ModelOptions.DEFAULT);
  }

  /**
   * Loads a model.
   *
   * @param folder a model folder, packed or not
   * @param device where to run it
   * @param options context, sequences, threads
   * @return the model
   * @throws dev.nibble.quantizer.format.ModelFormatException if a file breaks its format
   * @throws java.nio.file.NoSuchFileException if a file is missing
   * @throws IOException if reading fails
   * @throws IllegalArgumentException if the options do not fit the model
   * @throws dev.nibble.runtime.model.DeviceException if the device is absent
   */
  public static Model load(Path folder, Device device, ModelOptions options) throws IOException {
    return later();
  }

  /**
   * The folder it came from.
   *
   * @return its path
   */
  public Path folder() {
    return later();
  }

  /**
   * The model's shape and scheme.
   *
   * @return the config
   */
  public ModelConfig config() {
    return later();
  }

  /**
   * The model's tokenizer.
   *
   * @return the tokenizer
   */
  public Tokenizer tokenizer() {
    return later();
  }

  /**
   * What it runs on.
   *
   * @return such as {@code cpu}
   */
  public String device() {
    return later();
  }

  /**
   * Memory it takes.
   *
   * @return the engine's plan
   */
  public MemoryPlan memory() {
    return later();
  }

  /**
   * Positions a session holds.
   *
   * @return tokens
   */
  public int contextLength() {
    return later();
  }

  /**
   * Opens a session with an empty cache.
   *
   * @return the session
   * @throws IllegalStateException if {@link ModelOptions#sequences} are open, or the model is
   *     closed
   */
  public Session newSession() {
    return later();
  }

  /**
   * Runs tokens as a sequence of their own and hands out the logits after each of them. Needs one
   * free sequence.
   *
   * @param tokens 1 to {@link #contextLength} ids
   * @param sink receives the logits, in order
   * @throws IllegalArgumentException if an id is outside the vocabulary or the context is too short
   */
  public void score(int[] tokens, Engine.LogitsSink sink) {
    later();
  }

  /** Frees the engine and the weights; sessions that are open fail from then on. */
  @Override
  public void close() {
    later();
  }

  @SuppressWarnings("TypeParameterUnusedInFormals")
  private static <T> T later() {
    throw new IllegalStateException("not written yet");
  }
}
