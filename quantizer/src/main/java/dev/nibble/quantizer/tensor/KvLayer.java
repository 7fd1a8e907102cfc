package dev.nibble.quantizer.tensor;

/**
 * Keys and values of one layer of one sequence, [capacity, kvHeads, headDim] each, at 32, 16, 8, 4
 * or 3 bits. Below 16 bits each token and head has an fp16 scale and minimum, and its codes fill
 * whole 32-bit words. Not thread-safe.
 */
public final class KvLayer {
  private final int bits;
  private final int capacity;
  private final int kvHeads;
  private final int headDim;

  /**
   * Allocates a layer.
   *
   * @param bits 32 (float), 16 (half), 8, 4 or 3
   * @param capacity positions
   * @param kvHeads key and value heads
   * @param headDim channels of a head
   */
  public KvLayer(int bits, int capacity, int kvHeads, int headDim) {
    this.bits = bits;
    this.capacity = capacity;
    this.kvHeads = kvHeads;
    this.headDim = headDim;
  }

  /**
   * Bits an element.
   *
   * @return bits
   */
  public int bits() {
    return bits;
  }

  /**
   * Positions it holds.
   *
   * @return positions
   */
  public int capacity() {
    return capacity;
  }

  /**
   * Key and value heads.
   *
   * @return heads
   */
  public int kvHeads() {
    return kvHeads;
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
