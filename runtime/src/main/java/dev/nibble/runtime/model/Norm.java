package dev.nibble.runtime.model;

import java.util.Optional;

/**
 * A norm over a row or a head.
 *
 * @param kind what it computes
 * @param weight [width]
 * @param bias [width]; always there for LayerNorm, and where a quantization method shifts channels
 * @param channelOrder channel i of the output is channel channelOrder[i] of the normed input (RPTQ)
 */
@SuppressWarnings("ArrayRecordComponent") // weights, never compared
public record Norm(
    Kind kind, float[] weight, Optional<float[]> bias, Optional<int[]> channelOrder) {
  /** What a norm computes. */
  public enum Kind {
    /** x / rms(x). */
    RMS,
    /** (x - mean(x)) / deviation(x). */
    LAYER
  }
}
