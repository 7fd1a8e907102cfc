package dev.nibble.runtime.model;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.tensor.WeightMatrix;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
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
   * @param checkpoint an open checkpoint, closed with the weights, also when this fails
   * @return the weights
   * @throws dev.nibble.quantizer.format.ModelFormatException if a tensor is missing, unknown, or of
   *     the wrong shape or type
   * @throws IOException if reading fails
   */
  public static ModelWeights of(Checkpoint checkpoint) throws IOException {
    boolean sorted = false;
    try {
      ModelWeights weights =
          checkpoint.reading(
              () -> WeightReader.read(checkpoint, checkpoint.config(), new Mapped(checkpoint)));
      sorted = true;
      return weights;
    } finally {
      if (!sorted) {
        checkpoint.close();
      }
    }
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
    return SyntheticWeights.make(shape, scheme);
  }

  /**
   * The sizes of a named shape's weights, without weights, for planning. Reading one throws
   * IllegalStateException.
   *
   * @param shape one of {@link #syntheticShapes}
   * @param scheme what they would be packed to
   * @return the weights' shapes
   * @throws IllegalArgumentException if the shape is not known
   */
  public static ModelWeights syntheticSizes(String shape, QuantScheme scheme) {
    return SyntheticWeights.sizes(shape, scheme);
  }

  /**
   * Names {@link #synthetic} knows.
   *
   * @return such as {@code llama-2-7b}
   */
  public static List<String> syntheticShapes() {
    return SyntheticWeights.shapes();
  }

  /**
   * Bits of an element of the key-value cache on the CPU: the scheme's. Unquantized models and
   * float32 ones take 32 for 16, for rounding to half would be the largest error there is.
   *
   * @return 32, 16, 8, 4 or 3
   */
  public int kvBits() {
    int bits = config.scheme().kvBits();
    boolean exact = config.quantization().isEmpty() || embedding.dtype() == DType.F32;
    return bits == 16 && exact ? 32 : bits;
  }

  @Override
  public void close() {
    memory.close();
  }

  /** Memory that weights lie in. */
  @FunctionalInterface
  public interface Memory extends AutoCloseable {
    /**
     * Tells the checksum of data that was read whole, on its way to somewhere.
     *
     * @param data of a tensor
     * @param crc32c its CRC32C
     * @throws ModelFormatException if it has another checksum
     */
    default void wasRead(MemorySegment data, int crc32c) throws ModelFormatException {}

    /**
     * Reads the tensors that nobody has told the checksum of, and checks theirs.
     *
     * @throws ModelFormatException if one has another checksum
     * @throws IOException if reading fails
     */
    default void requireChecksums() throws IOException {}

    @Override
    void close();
  }

  /** The memory of a checkpoint. */
  private record Mapped(Checkpoint checkpoint) implements Memory {
    @Override
    public void wasRead(MemorySegment data, int crc32c) throws ModelFormatException {
      checkpoint.requireChecksum(data, crc32c);
    }

    @Override
    public void requireChecksums() throws IOException {
      checkpoint.requireChecksums();
    }

    @Override
    public void close() {
      checkpoint.close();
    }
  }
}
