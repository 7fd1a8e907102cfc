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
 */
record BenchSubject(String model, QuantScheme scheme, long bytes, long parameters) {
  static BenchSubject of(String name, ModelWeights weights) {
    long parameters =
        weights.blocks().stream()
                .flatMap(BenchSubject::linears)
                .mapToLong(linear -> size(linear.weights()))
                .sum()
            + size(weights.embedding())
            + weights.positions().map(BenchSubject::size).orElse(0L)
            + (weights.config().tiedEmbeddings() ? 0 : size(weights.head().weights()));
    return new BenchSubject(name, weights.config().scheme(), weights.bytes(), parameters);
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
