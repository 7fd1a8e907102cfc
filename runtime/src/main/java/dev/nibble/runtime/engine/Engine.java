package dev.nibble.runtime.engine;

import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;

/**
 * Runs one model for up to {@link #maxSequences} independent sequences. A sequence's tokens do not
 * depend on what else is in its batch. Memory is taken when the engine is made; a decode step
 * allocates nothing. Not thread-safe: one thread drives an engine.
 */
public interface Engine extends AutoCloseable {
  /**
   * Makes an engine.
   *
   * @param weights the model, closed with the engine, also when this fails
   * @param device where to run
   * @param options context, sequences, threads
   * @return the engine
   * @throws IllegalArgumentException if the options do not fit the model
   * @throws dev.nibble.runtime.model.DeviceException if the device is absent or has too little
   *     memory
   * @throws dev.nibble.runtime.model.UnfitModelException if the device cannot run such a model
   * @throws java.io.UncheckedIOException of a ModelFormatException if a tensor of a checkpoint that
   *     was opened unread has another checksum, or of another if reading one fails
   */
  static Engine create(ModelWeights weights, Device device, ModelOptions options) {
    return EngineChoice.create(weights, device, options);
  }

  /**
   * Makes an engine with random weights, for measurements; a GPU makes its own.
   *
   * @param shape one of {@link ModelWeights#syntheticShapes}
   * @param scheme what they are packed to
   * @param device where to run
   * @param options context, sequences, threads
   * @return the engine
   * @throws IllegalArgumentException if the shape is not known or the options do not fit it
   * @throws dev.nibble.runtime.model.DeviceException if the device is absent or has too little
   *     memory
   * @throws dev.nibble.runtime.model.UnfitModelException if the device cannot run such a model
   */
  static Engine synthetic(String shape, QuantScheme scheme, Device device, ModelOptions options) {
    return EngineChoice.synthetic(shape, scheme, device, options);
  }

  /**
   * What it runs on, for results and logs.
   *
   * @return such as {@code cpu} or {@code cuda:0}
   */
  String device();

  /**
   * Positions a sequence holds.
   *
   * @return tokens
   */
  int contextLength();

  /**
   * Sequences open at once.
   *
   * @return sequences, 1 to 256
   */
  int maxSequences();

  /**
   * Rows of the head.
   *
   * @return logits a token has
   */
  int vocabSize();

  /**
   * Memory it took.
   *
   * @return the plan it was made by
   */
  MemoryPlan memory();

  /**
   * Opens an empty sequence.
   *
   * @param sampling how its tokens are chosen
   * @return the sequence
   * @throws IllegalStateException if {@link #maxSequences} are open
   */
  Sequence open(SamplingParameters sampling);

  /**
   * Appends tokens to a sequence and samples the one that follows them, which is returned but not
   * appended.
   *
   * @param sequence of this engine
   * @param tokens at least one id
   * @return the next token
   * @throws IllegalArgumentException if an id is outside the vocabulary or the context is too short
   */
  int prefill(Sequence sequence, int[] tokens);

  /**
   * Appends tokens to a sequence without sampling: {@link #prefill} in parts.
   *
   * @param sequence of this engine
   * @param tokens at least one id
   * @throws IllegalArgumentException if an id is outside the vocabulary or the context is too short
   */
  void append(Sequence sequence, int[] tokens);

  /**
   * One decode step: appends to each sequence its token and samples the next.
   *
   * @param sequences of this engine, each once; the first {@code count} are used
   * @param count sequences in the batch, 1 to {@link #maxSequences}
   * @param tokens token to append to each; replaced by the sampled ones
   * @throws NonFiniteLogitsException if a sequence's logits are not numbers
   */
  void step(Sequence[] sequences, int count, int[] tokens);

  /**
   * Appends tokens and hands out the logits after each of them.
   *
   * @param sequence of this engine
   * @param tokens at least one id
   * @param sink receives the logits, in order
   */
  void score(Sequence sequence, int[] tokens, LogitsSink sink);

  /**
   * Time that decode steps have waited for a device so far: what else they took, the host took.
   *
   * @return nanoseconds; 0 for an engine that computes on the host
   */
  default long waitedNanos() {
    return 0;
  }

  /**
   * Waits until a device has done all that it was given, also a step it began before it was asked
   * for: so that a measurement does not begin with the end of another.
   */
  default void awaitIdle() {}

  /** Frees the engine's memory and threads; closing twice does nothing. */
  @Override
  void close();

  /** Receives logits. */
  @FunctionalInterface
  interface LogitsSink {
    /**
     * Takes the logits of some tokens.
     *
     * @param firstToken index of the first of them in the scored tokens
     * @param tokens how many
     * @param logits tokens x vocabSize, valid during the call
     */
    void accept(int firstToken, int tokens, float[] logits);
  }
}
