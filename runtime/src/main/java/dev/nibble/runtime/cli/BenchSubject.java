package dev.nibble.runtime.cli;

import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.tensor.WeightMatrix;
import dev.nibble.runtime.model.Block;
import dev.nibble.runtime.model.Linear;
import dev.nibble.runtime.model.ModelWeights;
import java.util.stream.Stream;

/**
 * What is measured.
 *
 * @param model name of the model or shape
 * @param scheme what it runs at
 * @param bytes size of its tensors
 * @param parameters weights of its matrices
 * @param stepBytes of its tensors that a decode step reads: all but the embedding, unless the head
 *     is that
 */
record BenchSubject(String model, QuantScheme scheme, long bytes, long parameters, long stepBytes) {
  static BenchSubject of(String name, ModelWeights weights) {
    long parameters =
        weights.blocks().stream()
                .flatMap(BenchSubject::linears)
                .mapToLong(linear -> size(linear.weights()))
                .sum()
            + size(weights.embedding())
            + weights.positions().map(BenchSubject::size).orElse(0L)
            + (weights.config().tiedEmbeddings() ? 0 : size(weights.head().weights()));
    boolean headIsEmbedding = weights.head().weights().equals(weights.embedding());
    long unread =
        (headIsEmbedding ? 0 : weights.embedding().data().byteSize())
            + weights.positions().map(table -> table.data().byteSize()).orElse(0L);
    return new BenchSubject(
        name, weights.config().scheme(), weights.bytes(), parameters, weights.bytes() - unread);
  }

  private static Stream<Linear> linears(Block block) {
    return Stream.concat(
        block.gate().stream(),
        Stream.of(
            block.query(), block.key(), block.value(), block.output(), block.up(), block.down()));
  }

  private static long size(WeightMatrix matrix) {
    return Math.multiplyExact((long) matrix.rows(), matrix.columns());
  }

  /** A speed means little without the scheme, the head's bits included. */
  String title() {
    return model + " " + scheme + (scheme.headBits() == 16 ? " H16" : "");
  }
}
