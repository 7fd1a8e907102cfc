package dev.nibble.runtime.model;

import java.util.Optional;

/**
 * A norm: RMSNorm, or LayerNorm where there is a bias.
 *
 * @param weight [width]
 * @param bias [width]; present makes it a LayerNorm
 * @param channelOrder channel i of the output is channel channelOrder[i] of the normed input (RPTQ)
 */
@SuppressWarnings("ArrayRecordComponent") // weights, never compared
public record Norm(float[] weight, Optional<float[]> bias, Optional<int[]> channelOrder) {}
