package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.kv_cache_h;

/**
 * Where a sequence's keys and values lie on the device; native/include/kv_cache.h tells it.
 *
 * @param bits of an element: 16, 8, 4 or 3
 * @param capacity positions, a multiple of 16
 * @param kvHeads key-value heads
 * @param headDim channels of a head, a multiple of 16 up to 128
 */
public record KvLayout(int bits, int capacity, int kvHeads, int headDim) {
  /** Checks the shape. */
  public KvLayout {
    if (headDim < 16 || headDim > 128 || headDim % 16 != 0) {
      throw new IllegalArgumentException(
          "heads of " + headDim + " channels: a GPU takes multiples of 16 up to 128");
    }
    if (capacity < 1 || capacity % kv_cache_h.KV_TILE_POSITIONS() != 0) {
      throw new IllegalArgumentException("cache of " + capacity + " positions");
    }
  }

  /**
   * The layout of a cache for at least so many positions.
   *
   * @param bits of an element
   * @param positions that must have room
   * @param kvHeads key-value heads
   * @param headDim channels of a head
   * @return the layout
   */
  public static KvLayout of(int bits, int positions, int kvHeads, int headDim) {
    int unit = kv_cache_h.KV_TILE_POSITIONS();
    return new KvLayout(
        bits, Math.multiplyExact(Math.ceilDiv(positions, unit), unit), kvHeads, headDim);
  }

  /**
   * Bytes of one position of one head of keys or values.
   *
   * @return bytes
   */
  public int rowBytes() {
    return bits == 3
        ? Math.ceilDiv(headDim, kv_cache_h.KV_UNIT_CHANNELS()) * kv_cache_h.KV_UNIT_BYTES()
        : headDim * bits / Byte.SIZE;
  }

  /**
   * Where a layer's values start in its region.
   *
   * @return bytes
   */
  public long valuesOffset() {
    return Math.multiplyExact((long) capacity * kvHeads, rowBytes());
  }

  /**
   * Bytes of a layer.
   *
   * @return bytes, a multiple of 256
   */
  public long regionBytes() {
    long steps = bits < 16 ? (long) capacity * kvHeads * kv_cache_h.KV_STEP_BYTES() : 0;
    long bytes = Math.addExact(2 * valuesOffset(), steps);
    long unit = kv_cache_h.KV_ALIGNMENT();
    return Math.ceilDiv(bytes, unit) * unit;
  }
}
