package dev.nibble.quantizer.tensor;

import dev.nibble.quantizer.format.ModelConfig.RopeConfig;

/** Cosines and sines of rotary position embedding (Su et al. 2021), per position and frequency. */
public final class RotaryEmbedding {
  private final int positions;
  private final int headDim;

  /**
   * Computes the tables.
   *
   * @param config base and scaling
   * @param headDim channels of a head, even
   * @param positions number of positions
   */
  public RotaryEmbedding(RopeConfig config, int headDim, int positions) {
    this.headDim = headDim;
    this.positions = positions;
  }

  /**
   * Positions in the tables.
   *
   * @return positions
   */
  public int positions() {
    return positions;
  }

  /**
   * Channels of a head.
   *
   * @return channels
   */
  public int headDim() {
    return headDim;
  }
}
