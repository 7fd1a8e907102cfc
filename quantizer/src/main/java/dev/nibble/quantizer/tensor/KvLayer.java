package dev.nibble.quantizer.tensor;

/**
 * Keys and values of one layer of one sequence, for {@code capacity} positions of {@code kvHeads}
 * heads, at 32, 16, 8, 4 or 3 bits. Below 16 bits each position and head has an fp16 step and an
 * fp16 minimum, value = code * step + minimum, and its codes fill whole 32-bit words. Appending at
 * a position overwrites what was there, which is all that truncating a sequence takes. Not
 * thread-safe.
 *
 * <p>Heads follow one another, so that a head's positions are contiguous. Values lie row by row;
 * keys in blocks of {@link #BLOCK} positions whose element i (a channel, or a word of codes) of all
 * positions is contiguous, so that one vector holds the same channel of neighbouring positions:
 *
 * <pre>{@code
 * values  [kvHeads][positions][channels or words]
 * keys    [kvHeads][positions/16][channels or words][16 positions]
 * }</pre>
 *
 * <p>Channel c of a row: at 8 and 4 bits, word c / (32/bits), lowest bits first. At 3 bits the low
 * two bits are in word c / 16, and the high bits follow all of those, 32 a word.
 */
public final class KvLayer {
  /** Positions of a block of keys. */
  static final int BLOCK = 16;

  /** Words that may be read, and not used, past the last row. */
  private static final int SLACK = 16;

  private final int bits;
  private final int capacity;
  private final int kvHeads;
  private final int headDim;

  /** Capacity in whole blocks. */
  private final int stride;

  /** Elements or words of a row. */
  private final int row;

  final float[] keyFloats;
  final float[] valueFloats;
  final short[] keyHalves;
  final short[] valueHalves;
  final int[] keyWords;
  final int[] valueWords;

  /** fp16, [kvHeads][stride]; likewise the next three. */
  final short[] keySteps;

  final short[] keyMinimums;
  final short[] valueSteps;
  final short[] valueMinimums;

  /**
   * Allocates a layer.
   *
   * @param bits 32 (float), 16 (half), 8, 4 or 3
   * @param capacity positions
   * @param kvHeads key and value heads
   * @param headDim channels of a head, a multiple of 16
   */
  public KvLayer(int bits, int capacity, int kvHeads, int headDim) {
    if (capacity < 1 || kvHeads < 1 || headDim < 16 || headDim % 16 != 0) {
      throw new IllegalArgumentException(
          "key-value layer of %d positions, %d heads of %d channels: expected at least 1, 1 and a multiple of 16"
              .formatted(capacity, kvHeads, headDim));
    }
    this.bits = bits;
    this.capacity = capacity;
    this.kvHeads = kvHeads;
    this.headDim = headDim;
    row =
        switch (bits) {
          case 32, 16 -> headDim;
          case 8, 4 -> headDim / (32 / bits);
          case 3 -> headDim / 16 + Math.ceilDiv(headDim, 32);
          default ->
              throw new IllegalArgumentException(
                  "key-value bits " + bits + ": expected 32, 16, 8, 4 or 3");
        };
    stride = Math.multiplyExact(Math.ceilDiv(capacity, BLOCK), BLOCK);
    int rows = Math.multiplyExact(kvHeads, stride);
    int elements = Math.multiplyExact(rows, row);
    keyFloats = new float[bits == 32 ? elements : 0];
    valueFloats = new float[keyFloats.length];
    keyHalves = new short[bits == 16 ? elements : 0];
    valueHalves = new short[keyHalves.length];
    keyWords = new int[bits < 16 ? elements : 0];
    valueWords = new int[bits < 16 ? Math.addExact(elements, SLACK) : 0];
    keySteps = new short[bits < 16 ? rows : 0];
    keyMinimums = new short[keySteps.length];
    valueSteps = new short[keySteps.length];
    valueMinimums = new short[keySteps.length];
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

  /**
   * Memory it holds, keys and values.
   *
   * @return bytes
   */
  public long bytes() {
    return 4L * (keyFloats.length + valueFloats.length + keyWords.length + valueWords.length)
        + 2L * (keyHalves.length + valueHalves.length)
        + 2L * 4 * keySteps.length;
  }

  /** Elements or words of a row. */
  int row() {
    return row;
  }

  /** Where a head's steps and minimums start. */
  int headRow(int head) {
    return head * stride;
  }

  /** Where the block of a position starts in the keys of a head. */
  int keyBlock(int head, int position) {
    return (head * stride + position / BLOCK * BLOCK) * row;
  }

  /** Where the row of a position starts in the values of a head. */
  int valueRow(int head, int position) {
    return (head * stride + position) * row;
  }

  /** Checks that positions lie within the capacity. */
  void check(int position, int tokens) {
    if (position < 0 || tokens < 0 || position > capacity - tokens) {
      throw new IllegalArgumentException(
          "positions " + position + " and " + tokens + " tokens: capacity " + capacity);
    }
  }

  /** Stores keys and values of tokens from..to-1 of a call to {@link TensorOperations#append}. */
  void append(int position, float[] keys, float[] values, int offset, int from, int to) {
    for (int t = from; t < to; t++) {
      for (int h = 0; h < kvHeads; h++) {
        int source = offset + (t * kvHeads + h) * headDim;
        int p = position + t;
        switch (bits) {
          case 32 -> storeFloats(h, p, keys, values, source);
          case 16 -> storeHalves(h, p, keys, values, source);
          default -> storeCodes(h, p, keys, values, source);
        }
      }
    }
  }

  private void storeFloats(int head, int position, float[] keys, float[] values, int source) {
    int key = keyBlock(head, position) + position % BLOCK;
    for (int i = 0; i < headDim; i++) {
      keyFloats[key + i * BLOCK] = keys[source + i];
    }
    System.arraycopy(values, source, valueFloats, valueRow(head, position), headDim);
  }

  private void storeHalves(int head, int position, float[] keys, float[] values, int source) {
    int key = keyBlock(head, position) + position % BLOCK;
    int value = valueRow(head, position);
    for (int i = 0; i < headDim; i++) {
      keyHalves[key + i * BLOCK] = Float.floatToFloat16(keys[source + i]);
    }
    for (int i = 0; i < headDim; i++) {
      valueHalves[value + i] = Float.floatToFloat16(values[source + i]);
    }
  }

  private void storeCodes(int head, int position, float[] keys, float[] values, int source) {
    int at = headRow(head) + position;
    int key = keyBlock(head, position) + position % BLOCK;
    int value = valueRow(head, position);
    encode(keys, source, keySteps, keyMinimums, at, keyWords, key, BLOCK);
    encode(values, source, valueSteps, valueMinimums, at, valueWords, value, 1);
  }

  /** Quantizes one row; its words go to {@code first}, {@code first + spacing}, ... */
  private void encode(
      float[] x,
      int source,
      short[] steps,
      short[] minimums,
      int at,
      int[] words,
      int first,
      int spacing) {
    float min = RowQuantizer.min(x, source, headDim);
    float max = RowQuantizer.max(x, source, headDim);
    steps[at] = Float.floatToFloat16(RowQuantizer.step(min, max, bits));
    float step = Float.float16ToFloat(steps[at]);
    float zero = RowQuantizer.zero(min, step);
    minimums[at] = Float.floatToFloat16(-zero * step);
    for (int w = 0; w < row; w++) {
      words[first + w * spacing] = 0;
    }
    float largest = (1 << bits) - 1;
    for (int i = 0; i < headDim; i++) {
      int code = (int) RowQuantizer.code(x[source + i], step, zero, largest);
      if (bits == 3) {
        words[first + i / 16 * spacing] |= (code & 3) << (i % 16 * 2);
        words[first + (headDim / 16 + i / 32) * spacing] |= (code >> 2) << (i % 32);
      } else {
        words[first + i * bits / 32 * spacing] |= code << (i * bits % 32);
      }
    }
  }

  /** Restores the key of one position. */
  void readKey(int head, int position, float[] out) {
    int key = keyBlock(head, position) + position % BLOCK;
    int at = headRow(head) + position;
    for (int i = 0; i < headDim; i++) {
      out[i] =
          switch (bits) {
            case 32 -> keyFloats[key + i * BLOCK];
            case 16 -> Float.float16ToFloat(keyHalves[key + i * BLOCK]);
            default -> decode(keyWords, key, BLOCK, i, keySteps[at], keyMinimums[at]);
          };
    }
  }

  /** Restores the value of one position. */
  void readValue(int head, int position, float[] out) {
    int value = valueRow(head, position);
    int at = headRow(head) + position;
    for (int i = 0; i < headDim; i++) {
      out[i] =
          switch (bits) {
            case 32 -> valueFloats[value + i];
            case 16 -> Float.float16ToFloat(valueHalves[value + i]);
            default -> decode(valueWords, value, 1, i, valueSteps[at], valueMinimums[at]);
          };
    }
  }

  private float decode(int[] words, int first, int spacing, int i, short step, short minimum) {
    int code;
    if (bits == 3) {
      int low = words[first + i / 16 * spacing] >>> (i % 16 * 2) & 3;
      int high = words[first + (headDim / 16 + i / 32) * spacing] >>> (i % 32) & 1;
      code = low | high << 2;
    } else {
      code = words[first + i * bits / 32 * spacing] >>> (i * bits % 32) & ((1 << bits) - 1);
    }
    return Math.fma(code, Float.float16ToFloat(step), Float.float16ToFloat(minimum));
  }
}
