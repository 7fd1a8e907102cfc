package dev.nibble.runtime.cache;

import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.tensor.KvLayer;

/** Keys and values of one sequence in every layer, allocated whole. Not thread-safe. */
public final class KvCache {
  private final KvLayer[] layers;
  private final int capacity;
  private int length;

  /**
   * Allocates a cache.
   *
   * @param config the model's shape
   * @param bits of an element: 32, 16, 8, 4 or 3
   * @param capacity positions
   */
  public KvCache(ModelConfig config, int bits, int capacity) {
    this.capacity = capacity;
    layers = new KvLayer[config.layers()];
    for (int i = 0; i < layers.length; i++) {
      layers[i] = new KvLayer(bits, capacity, config.kvHeads(), config.headDim());
    }
  }

  /**
   * Memory one position takes in all layers.
   *
   * @param config the model's shape
   * @param bits of an element: 32, 16, 8, 4 or 3
   * @return bytes
   */
  public static long bytesPerToken(ModelConfig config, int bits) {
    int rowBytes =
        bits >= 16
            ? Math.multiplyExact(config.headDim(), bits / Byte.SIZE)
            : Math.ceilDiv(config.headDim() * bits, Integer.SIZE) * Integer.BYTES + 2 * Short.BYTES;
    return 2L * config.layers() * config.kvHeads() * rowBytes;
  }

  /**
   * A layer's keys and values.
   *
   * @param index of the layer
   * @return the layer
   */
  public KvLayer layer(int index) {
    return layers[index];
  }

  /**
   * Positions it can hold.
   *
   * @return tokens
   */
  public int capacity() {
    return capacity;
  }

  /**
   * Positions that are filled.
   *
   * @return tokens
   */
  public int length() {
    return length;
  }

  /**
   * Sets how many positions are filled.
   *
   * @param tokens 0 to {@link #capacity}
   */
  public void setLength(int tokens) {
    length = tokens;
  }
}
