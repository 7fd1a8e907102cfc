package dev.nibble.runtime.generate;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.tokenizer.Tokenizer;
import dev.nibble.quantizer.tokenizer.TokenizerFiles;
import dev.nibble.runtime.engine.Engine;
import dev.nibble.runtime.engine.MemoryPlan;
import dev.nibble.runtime.engine.SamplingParameters;
import dev.nibble.runtime.engine.Sequence;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;

/**
 * A loaded model: weights, tokenizer and the engine that runs them. Immutable and thread-safe;
 * sessions of several threads take turns, token by token.
 */
public final class Model implements AutoCloseable {
  private final Path folder;
  private final ModelConfig config;
  private final Tokenizer tokenizer;
  private final Engine engine;

  private final int[] endTokens;

  /** Held for each use of the engine. Fair, so that sessions advance alike. */
  private final ReentrantLock turn = new ReentrantLock(true);

  private boolean closed;

  Model(Path folder, ModelConfig config, Tokenizer tokenizer, Engine engine) {
    this.folder = folder;
    this.config = config;
    this.tokenizer = tokenizer;
    this.engine = engine;
    endTokens = config.eosIds().stream().mapToInt(Integer::intValue).toArray();
  }

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
    Tokenizer tokenizer = TokenizerFiles.open(folder);
    Checkpoint checkpoint = Checkpoint.openUnread(folder);
    ModelWeights weights = ModelWeights.of(checkpoint);
    try {
      Engine engine = checkpoint.reading(() -> Engine.create(weights, device, options));
      return new Model(folder, weights.config(), tokenizer, engine);
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
  }

  /**
   * The folder it came from.
   *
   * @return its path
   */
  public Path folder() {
    return folder;
  }

  /**
   * The model's shape and scheme.
   *
   * @return the config
   */
  public ModelConfig config() {
    return config;
  }

  /**
   * The model's tokenizer.
   *
   * @return the tokenizer
   */
  public Tokenizer tokenizer() {
    return tokenizer;
  }

  /**
   * What it runs on.
   *
   * @return such as {@code cpu}
   */
  public String device() {
    return engine.device();
  }

  /**
   * Memory it takes.
   *
   * @return the engine's plan
   */
  public MemoryPlan memory() {
    return engine.memory();
  }

  /**
   * Positions a session holds.
   *
   * @return tokens
   */
  public int contextLength() {
    return engine.contextLength();
  }

  /**
   * Opens a session with an empty cache.
   *
   * @return the session
   * @throws IllegalStateException if {@link ModelOptions#sequences} are open, or the model is
   *     closed
   */
  public Session newSession() {
    return new Session(this, inTurn(() -> engine.open(SamplingParameters.GREEDY)));
  }

  /**
   * Runs tokens as a sequence of their own and hands out the logits after each of them. Needs one
   * free sequence.
   *
   * @param tokens 1 to {@link #contextLength} ids
   * @param sink receives the logits, in order
   * @throws IllegalArgumentException if an id is outside the vocabulary or the context is too short
   * @throws IllegalStateException if {@link ModelOptions#sequences} are open, or the model is
   *     closed
   */
  public void score(int[] tokens, Engine.LogitsSink sink) {
    inTurn(() -> {
      try (Sequence sequence = engine.open(SamplingParameters.GREEDY)) {
        engine.score(sequence, tokens, sink);
      }
      return tokens;
    });
  }

  /** Whether a token ends a text. */
  boolean ends(int token) {
    for (int end : endTokens) {
      if (end == token) {
        return true;
      }
    }
    return false;
  }

  void append(Sequence sequence, int[] tokens) {
    inTurn(() -> {
      engine.append(sequence, tokens);
      return tokens;
    });
  }

  int prefill(Sequence sequence, int[] tokens) {
    return inTurn(() -> engine.prefill(sequence, tokens));
  }

  /** Written out, for a lambda would be made for every token. */
  void step(Sequence[] sequences, int[] tokens) {
    turn.lock();
    try {
      requireOpen();
      engine.step(sequences, sequences.length, tokens);
    } finally {
      turn.unlock();
    }
  }

  void release(Sequence sequence) {
    turn.lock();
    try {
      sequence.close();
    } finally {
      turn.unlock();
    }
  }

  /**
   * Frees the engine and the weights; sessions that are open fail from then on. Closing twice does
   * nothing.
   */
  @Override
  public void close() {
    turn.lock();
    try {
      closed = true;
      engine.close();
    } finally {
      turn.unlock();
    }
  }

  private <T> T inTurn(Supplier<T> work) {
    turn.lock();
    try {
      requireOpen();
      return work.get();
    } finally {
      turn.unlock();
    }
  }

  private void requireOpen() {
    if (closed) {
      throw new IllegalStateException("the model is closed");
    }
  }
}
