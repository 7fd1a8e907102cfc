package dev.nibble.bench.kernel;

import java.util.Map;

/**
 * Attention of one layer.
 *
 * @param heads query heads
 * @param kvHeads key-value heads
 * @param headDim channels of a head
 * @param kvBits of the cache
 * @param batch sequences
 * @param context tokens of each
 */
public record AttentionShape(
    int heads, int kvHeads, int headDim, int kvBits, int batch, int context) {
  int queries() {
    return heads * headDim;
  }

  int keys() {
    return kvHeads * headDim;
  }

  int kvHead(int head) {
    return head / (heads / kvHeads);
  }

  Map<String, String> parameters() {
    return Map.of(
        "heads", Integer.toString(heads),
        "kv_heads", Integer.toString(kvHeads),
        "head_dim", Integer.toString(headDim),
        "kv_bits", Integer.toString(kvBits),
        "batch", Integer.toString(batch),
        "context", Integer.toString(context));
  }
}
