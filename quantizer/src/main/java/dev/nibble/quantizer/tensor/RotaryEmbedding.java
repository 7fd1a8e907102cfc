package dev.nibble.quantizer.tensor;

import dev.nibble.quantizer.format.ModelConfig.Llama3Scaling;
import dev.nibble.quantizer.format.ModelConfig.RopeConfig;
import org.jspecify.annotations.Nullable;

/**
 * Cosines and sines of rotary position embedding (Su et al. 2021), per position and frequency.
 * Frequencies and angles are rounded to float at the same places as in transformers, because at
 * large positions those roundings move the angle visibly. Immutable.
 */
public final class RotaryEmbedding {
  private final int positions;
  private final int headDim;
  private final float[] cosines;
  private final float[] sines;
  private final int @Nullable [][] order;

  /**
   * Computes the tables.
   *
   * @param config base and scaling
   * @param headDim channels of a head, even
   * @param positions number of positions
   */
  public RotaryEmbedding(RopeConfig config, int headDim, int positions) {
    if (headDim < 2 || headDim % 2 != 0 || positions < 1) {
      throw new IllegalArgumentException(
          "rotary embedding of " + headDim + " channels and " + positions + " positions");
    }
    this.headDim = headDim;
    this.positions = positions;
    int half = headDim / 2;
    cosines = new float[Math.multiplyExact(positions, half)];
    sines = new float[cosines.length];
    order = null;
    float[] frequencies = frequencies(config, headDim);
    for (int p = 0; p < positions; p++) {
      for (int i = 0; i < half; i++) {
        float angle = p * frequencies[i];
        cosines[p * half + i] = (float) Math.cos(angle);
        sines[p * half + i] = (float) Math.sin(angle);
      }
    }
  }

  private RotaryEmbedding(RotaryEmbedding tables, int[][] order) {
    positions = tables.positions;
    headDim = tables.headDim;
    cosines = tables.cosines;
    sines = tables.sines;
    this.order = order;
  }

  /**
   * The same tables for heads whose pairs are stored in another order, as RPTQ does.
   *
   * @param order [kvHeads][headDim/2], the frequency of each stored pair, each once; query heads
   *     follow their key head
   * @return an embedding that shares these tables
   * @throws IllegalArgumentException if a row is not a permutation
   */
  public RotaryEmbedding withOrder(int[][] order) {
    int half = headDim / 2;
    int[][] copy = new int[order.length][];
    for (int h = 0; h < order.length; h++) {
      copy[h] = order[h].clone();
      boolean[] seen = new boolean[half];
      for (int frequency : copy[h]) {
        if (frequency < 0 || frequency >= half || seen[frequency]) {
          throw new IllegalArgumentException(
              "rope order of head " + h + ": frequency " + frequency + " of " + half);
        }
        seen[frequency] = true;
      }
      if (copy[h].length != half) {
        throw new IllegalArgumentException(
            "rope order of head " + h + ": " + copy[h].length + " pairs, expected " + half);
      }
    }
    return new RotaryEmbedding(this, copy);
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

  /**
   * Cosines of the angles, [positions, headDim / 2], frequencies in their natural order.
   *
   * @return the table itself, not to be changed
   */
  public float[] cosines() {
    return cosines;
  }

  /**
   * As {@link #cosines}.
   *
   * @return the table itself, not to be changed
   */
  public float[] sines() {
    return sines;
  }

  /**
   * The frequency of each stored pair of a head; null in the natural order.
   *
   * @param head which head
   * @param heads how many heads share the key heads' orders
   */
  int @Nullable [] order(int head, int heads) {
    return order == null ? null : order[head / (heads / order.length)];
  }

  /** Checks a call's heads and positions. */
  void check(int heads, int[] at, int tokens) {
    if (order != null && heads % order.length != 0) {
      throw new IllegalArgumentException(
          heads + " heads: expected a multiple of " + order.length + ", the heads of the order");
    }
    for (int t = 0; t < tokens; t++) {
      if (at[t] < 0 || at[t] >= positions) {
        throw new IllegalArgumentException(
            "position " + at[t] + ": the tables have " + positions + " positions");
      }
    }
  }

  private static float[] frequencies(RopeConfig config, int headDim) {
    float base = (float) config.theta();
    float[] frequencies = new float[headDim / 2];
    for (int i = 0; i < frequencies.length; i++) {
      float exponent = (float) (2 * i) / headDim;
      frequencies[i] = 1f / (float) Math.pow(base, exponent);
    }
    config.scaling().ifPresent(scaling -> scale(frequencies, scaling));
    return frequencies;
  }

  /** Llama 3.1: low frequencies slowed, high ones kept, those between interpolated. */
  private static void scale(float[] frequencies, Llama3Scaling scaling) {
    float factor = (float) scaling.factor();
    float low = (float) scaling.lowFrequencyFactor();
    float high = (float) scaling.highFrequencyFactor();
    float context = scaling.originalMaxPositions();
    for (int i = 0; i < frequencies.length; i++) {
      float frequency = frequencies[i];
      float wavelength = (float) (2 * Math.PI) * (1f / frequency);
      if (wavelength > context / low) {
        frequencies[i] = frequency / factor;
      } else if (wavelength >= context / high) {
        float smooth = (context * (1f / wavelength) - low) / (high - low);
        frequencies[i] = (1f - smooth) * frequency / factor + smooth * frequency;
      }
    }
  }
}
