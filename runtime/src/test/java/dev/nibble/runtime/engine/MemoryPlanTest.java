package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class MemoryPlanTest {
  private static final ModelOptions OPTIONS =
      ModelOptions.DEFAULT.withContextLength(512).withSequences(3);

  @ParameterizedTest
  @ValueSource(strings = {"W16A16", "W4A16g128", "W3A16symH8", "W4A8KV4"})
  void sizesArePlannedLikeWeights(String name) {
    QuantScheme scheme = QuantScheme.parse(name);
    try (ModelWeights weights = ModelWeights.synthetic("books-8m", scheme);
        ModelWeights sizes = ModelWeights.syntheticSizes("books-8m", scheme)) {
      assertEquals(MemoryPlan.of(weights, OPTIONS), MemoryPlan.of(sizes, OPTIONS));
      assertEquals(MemoryPlan.ofCuda(weights, OPTIONS), MemoryPlan.ofCuda(sizes, OPTIONS));
      assertThrows(
          IllegalStateException.class,
          () -> sizes.embedding().data().get(ValueLayout.JAVA_BYTE, 0));
    }
  }

  /**
   * Llama-2-7B has 6,476,005,376 weights in its linears, and an embedding and a head of 131,072,000
   * each at 16 bits; a weight of W4g128 costs 4.1875 bits, where the rows and columns need no
   * padding. A token's cache is 2 x 32 layers x 4096 channels.
   */
  @ParameterizedTest
  @CsvSource({
    "W16A16, 13_476_298_752, 524_288",
    "W4A16g128, 3_914_072_064, 524_288",
  })
  void largeModelsAreCountedByHand(String scheme, String weights, String token) {
    try (ModelWeights sizes =
        ModelWeights.syntheticSizes("llama-2-7b", QuantScheme.parse(scheme))) {
      MemoryPlan plan = MemoryPlan.ofCuda(sizes, OPTIONS);
      long expected = Long.parseLong(weights.replace("_", ""));
      assertEquals(
          (double) expected,
          (double) plan.weightBytes(),
          2e-3 * expected); // norms, cosines, alignment
      assertEquals(Long.parseLong(token.replace("_", "")), plan.kvBytesPerToken());
    }
  }

  @Test
  void packedCachesCostAQuarterAndTheirScales() {
    try (ModelWeights sizes =
        ModelWeights.syntheticSizes("llama-2-7b", QuantScheme.parse("W4A16g128KV4"))) {
      long token = MemoryPlan.ofCuda(sizes, OPTIONS).kvBytesPerToken();
      assertEquals(2L * 32 * 32 * (128 / 2 + 4), token);
    }
  }
}
