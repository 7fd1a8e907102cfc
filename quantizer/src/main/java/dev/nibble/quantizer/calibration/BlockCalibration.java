package dev.nibble.quantizer.calibration;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.format.ModuleName;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.format.Tensor;
import dev.nibble.quantizer.format.TensorNames;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.io.IOException;
import java.util.Optional;

/**
 * Drives a method through a model: one block resident, its inputs kept twice, as the full-precision
 * blocks before it leave them and as the quantized ones do.
 */
public final class BlockCalibration {
  /** Windows that tell the loss, where the method needs none of the full-precision model. */
  private static final int LOSS_WINDOWS = 16;

  private final Checkpoint source;
  private final ModelConfig config;
  private final QuantScheme scheme;
  private final CalibrationWindows windows;
  private final BlockMethod method;
  private final long seed;

  /**
   * Where the work stands between two blocks.
   *
   * @param blocks blocks done
   * @param full the next block's inputs in the full-precision model
   * @param quantized its inputs after the quantized blocks
   */
  public record State(int blocks, HiddenStates full, HiddenStates quantized) {}

  /** Keeps what is done, so that a later run can go on. */
  public interface Journal {
    /**
     * What a run before this one left.
     *
     * @return where to go on, or empty to begin
     * @throws IOException if it cannot be read
     */
    Optional<State> resume() throws IOException;

    /**
     * A block is done.
     *
     * @param block what was made of it
     * @param source the block as it was
     * @param loss mean squared error of its output on the quantized inputs against the
     *     full-precision model's, over the windows that are known there
     * @param after where the work stands now
     * @throws IOException if it cannot be kept
     */
    void blockDone(QuantizedBlock block, TransformerBlock source, double loss, State after)
        throws IOException;
  }

  /** Hears of the progress. Must not throw. */
  public interface Listener {
    /**
     * Some more is done.
     *
     * @param block the block at work
     * @param done steps done in this block
     * @param total steps of this block
     * @param loss the method's own measure, or NaN
     */
    void step(int block, long done, long total, double loss);
  }

  /**
   * Creates a calibration.
   *
   * @param source the unquantized checkpoint
   * @param scheme the scheme
   * @param windows the calibration text
   * @param method the method
   * @param seed for the method's random choices
   * @throws IllegalArgumentException if the method cannot do the scheme, or the windows are longer
   *     than the model's context
   */
  public BlockCalibration(
      Checkpoint source,
      QuantScheme scheme,
      CalibrationWindows windows,
      BlockMethod method,
      long seed) {
    this.source = source;
    this.scheme = scheme;
    this.windows = windows;
    this.method = method;
    this.seed = seed;
    config = source.config();
    method.check(config, scheme);
    if (windows.context() > config.maxPositions()) {
      throw new IllegalArgumentException(
          "context " + windows.context() + ": the model has " + config.maxPositions());
    }
  }

  /**
   * Quantizes the blocks that are not done yet.
   *
   * @param threads threads that compute; they change no bit
   * @param journal keeps each block
   * @param listener hears of the progress
   * @return floating point operations of the products that were computed
   * @throws ModelFormatException if a weight is not finite
   * @throws IOException if reading, keeping or the method fails
   */
  public long run(int threads, Journal journal, Listener listener) throws IOException {
    try (WorkerThreads workers = new WorkerThreads(threads)) {
      BlockForward forward = new BlockForward(config, windows.context(), workers);
      Optional<State> before = journal.resume();
      State state = before.isPresent() ? before.get() : begin();
      for (int layer = state.blocks(); layer < config.layers(); layer++) {
        state = block(layer, state, forward, journal, listener);
      }
      return workers.operations();
    }
  }

  private State begin() throws ModelFormatException {
    HiddenStates embedded = embed();
    HiddenStates full = method.followsFullPrecision() ? embedded : embedded.first(LOSS_WINDOWS);
    return new State(0, full, embedded);
  }

  private State block(
      int layer, State state, BlockForward forward, Journal journal, Listener listener)
      throws IOException {
    TransformerBlock block = TransformerBlock.load(source, config, layer);
    HiddenStates quantized = state.quantized();
    HiddenStates targets = forward.run(block, BlockPrecision.FULL, state.full());
    BlockTask task =
        new BlockTask(
            block,
            scheme,
            state.full(),
            quantized,
            targets,
            forward,
            seed * 31 + layer,
            (done, total, loss) -> listener.step(layer, done, total, loss));
    QuantizedBlock made = method.quantize(task);
    HiddenStates outputs =
        made.outputs().orElseGet(() -> forward.run(made.effective(), made.precision(), quantized));
    requireFinite(layer, outputs);
    State after = new State(layer + 1, targets, outputs);
    journal.blockDone(made, block, targets.meanSquaredError(outputs), after);
    return after;
  }

  private void requireFinite(int layer, HiddenStates outputs) throws ModelFormatException {
    if (!outputs.isFinite()) {
      ModuleName module = TensorNames.of(config.architecture()).attention(layer);
      throw new ModelFormatException(
          source.file(source.names().getFirst()),
          module.name(),
          "the activations of this block are not finite");
    }
  }

  private HiddenStates embed() throws ModelFormatException {
    TensorNames names = TensorNames.of(config.architecture());
    int hidden = config.hiddenSize();
    EmbeddingRows embedding =
        new EmbeddingRows(
            source.require(names.embedding().weight(), config.vocabSize(), hidden), hidden);
    Optional<EmbeddingRows> positions = Optional.empty();
    if (names.positions().isPresent()) {
      Tensor table =
          source.require(
              names.positions().get().weight(),
              (long) config.maxPositions() + names.positionOffset(),
              hidden);
      positions = Optional.of(new EmbeddingRows(table, hidden));
    }
    float[][] states = new float[windows.windows().size()][];
    for (int w = 0; w < states.length; w++) {
      int[] ids = windows.windows().get(w);
      states[w] = new float[Math.multiplyExact(ids.length, hidden)];
      for (int t = 0; t < ids.length; t++) {
        if (ids[t] >= config.vocabSize()) {
          throw new ModelFormatException(
              source.folder(),
              "tokenizer",
              "expected tokens below " + config.vocabSize() + ", found " + ids[t]);
        }
        embedding.add(ids[t], states[w], t * hidden);
        if (positions.isPresent()) {
          positions.get().add(t + names.positionOffset(), states[w], t * hidden);
        }
      }
    }
    HiddenStates embedded = new HiddenStates(states);
    if (!embedded.isFinite()) {
      throw new ModelFormatException(
          source.file(names.embedding().weight()),
          names.embedding().weight(),
          "expected finite numbers, found others");
    }
    return embedded;
  }
}
