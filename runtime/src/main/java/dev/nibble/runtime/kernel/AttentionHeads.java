package dev.nibble.runtime.kernel;

import dev.nibble.runtime.cuda.DeviceRange;
import org.jspecify.annotations.Nullable;

/**
 * What attention does to queries and keys of a layer before they meet.
 *
 * @param heads query heads
 * @param queryBits bits that queries are rounded to after rotation; 16 for none
 * @param epsilon of the norms
 * @param queryNorm float [headDim], if queries are normed
 * @param keyNorm float [headDim], if keys are normed
 * @param cosines float [positions, headDim / 2], if there is rotation
 * @param sines as cosines
 * @param order uint16 [kvHeads, headDim / 2], the frequency of each stored pair, if permuted
 */
public record AttentionHeads(
    int heads,
    int queryBits,
    float epsilon,
    @Nullable DeviceRange queryNorm,
    @Nullable DeviceRange keyNorm,
    @Nullable DeviceRange cosines,
    @Nullable DeviceRange sines,
    @Nullable DeviceRange order) {
  void check(KvLayout cache) {
    if (heads < 1 || heads % cache.kvHeads() != 0) {
      throw new IllegalArgumentException(heads + " heads over " + cache.kvHeads());
    }
    long vector = (long) Float.BYTES * cache.headDim();
    require("query norm", queryNorm, vector);
    require("key norm", keyNorm, vector);
    long table = (long) Float.BYTES * cache.headDim() / 2;
    require("cosines", cosines, table);
    require("sines", sines, table);
    require("rope order", order, (long) Short.BYTES * cache.kvHeads() * (cache.headDim() / 2));
  }

  private static void require(String what, @Nullable DeviceRange range, long bytes) {
    if (range != null) {
      range.require(what, bytes);
    }
  }

  static long address(@Nullable DeviceRange range) {
    return range == null ? 0 : range.address();
  }
}
