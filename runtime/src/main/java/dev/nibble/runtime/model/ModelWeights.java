package dev.nibble.runtime.model;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.tensor.WeightMatrix;
import java.util.List;
import java.util.Optional;

/**
 * A transformer's weights by role. Whoever holds it closes it, after which its memory is gone;
 * {@code Engine.create} takes it over.
 *
 * @param config the model's shape
 * @param embedding [vocab, hidden]
 * @param positions learned positions, [positions, hidden], the first of them for position 0 (OPT)
 * @param blocks one a layer
 * @param finalNorm in front of the head
 * @param head [vocab, hidden]
 * @param bytes size of all tensors
 * @param memory what holds them
 */
public record ModelWeights(
    ModelConfig config,
    WeightMatrix.Dense embedding,
    Optional<WeightMatrix.Dense> positions,
    List<Block> blocks,
    Norm finalNorm,
    Linear head,
    long bytes,
    Memory memory)
    implements AutoCloseable {
  /** Copies the list. */
  public ModelWeights {
    blocks = List.copyOf(blocks);
  }

  /**
   * Sorts a checkpoint's tensors by role.
   *
   * @param checkpoint an open checkpoint, closed with the weights
   * @return the weights
   * @throws ModelFormatException if a tensor is missing, unknown, or of the wrong shape or type
   */
  public static ModelWeights of(Checkpoint checkpoint) throws ModelFormatException {
    return later();
  }

  /**
   * Weights of a named shape: uniform random codes, made in memory, for measurements.
   *
   * @param shape one of {@link #syntheticShapes}
   * @param scheme what to pack them to
   * @return the weights
   * @throws IllegalArgumentException if the shape is not known
   */
  public static ModelWeights synthetic(String shape, QuantScheme scheme) {
    return later();
  }

  /**
   * Names {@link #synthetic} knows.
   *
   * @return such as {@code llama-2-7b}
   */
  public static List<String> syntheticShapes() {
    return List.of(
        "llama-2-7b", "llama-2-13b", "llama-3-8b", "tinyllama-1.1b", "opt-6.7b", "books-8m");
  }

  @Override
  public void close() {
    memory.close();
  }

  @SuppressWarnings("TypeParameterUnusedInFormals")
  private static <T> T later() {
    throw new IllegalStateException("not written yet");
  }

  /** Memory that weights lie in. */
  @FunctionalInterface
  public interface Memory extends AutoCloseable {
    @Override
    void close();
  }
}
