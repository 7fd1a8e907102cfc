package dev.nibble.runtime.model;

import java.util.Optional;

/**
 * The weights of a transformer block.
 *
 * @param attentionNorm in front of the attention
 * @param query q, [heads * headDim, hidden]
 * @param key k, [kvHeads * headDim, hidden]
 * @param value v, [kvHeads * headDim, hidden]
 * @param output o, [hidden, heads * headDim]
 * @param queryNorm of each query head before RoPE (Qwen3)
 * @param keyNorm of each key head before RoPE (Qwen3)
 * @param ropeOrder [kvHeads, headDim / 2]: the frequency that stored pair p of a KV head turns with
 *     (RPTQ)
 * @param mlpNorm in front of the MLP
 * @param gate [intermediate, hidden]; absent where the MLP has no gate
 * @param up [intermediate, hidden]
 * @param down [hidden, intermediate]
 */
public record Block(
    Norm attentionNorm,
    Linear query,
    Linear key,
    Linear value,
    Linear output,
    Optional<Norm> queryNorm,
    Optional<Norm> keyNorm,
    Optional<int[][]> ropeOrder,
    Norm mlpNorm,
    Optional<Linear> gate,
    Linear up,
    Linear down) {}
