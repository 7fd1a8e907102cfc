package dev.nibble.quantizer.tensor;

import static dev.nibble.quantizer.tensor.Lanes.FLOATS;
import static dev.nibble.quantizer.tensor.Lanes.INTS;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShuffle;

/**
 * Restores a tile of a cache's positions to floats, in the cache's own order: keys as
 * [positions/16] [channels][16 positions], values as [positions][channels]. A cache of floats is
 * used as it is. Each worker has its own instance.
 */
final class VectorKeyValues {
  /** Positions of a tile: four vectors at 512 bits. */
  static final int TILE = 64;

  /** Which word of those loaded holds the code of a lane: 4 bytes a word, or 8 nibbles. */
  private static final VectorShuffle<Integer> WORD_OF_BYTE = INTS.shuffleFromOp(i -> i / 4);

  private static final VectorShuffle<Integer> WORD_OF_NIBBLE = INTS.shuffleFromOp(i -> i / 8);
  private static final IntVector BYTE_SHIFTS = shifts(8);
  private static final IntVector NIBBLE_SHIFTS = shifts(4);
  private static final IntVector PAIR_SHIFTS = shifts(2);
  private static final IntVector BIT_SHIFTS = shifts(1);

  private final float[] tile;
  private final float[] steps = new float[TILE];
  private final float[] minimums = new float[TILE];

  /** The floats of the last tile asked for. */
  private float[] data;

  /** Where they start. */
  private int start;

  VectorKeyValues(int headDim) {
    tile = new float[Math.multiplyExact(TILE, headDim)];
    data = tile;
  }

  private static IntVector shifts(int bits) {
    return IntVector.broadcast(INTS, 0).addIndex(bits).and(31);
  }

  float[] data() {
    return data;
  }

  int start() {
    return start;
  }

  /** Channels it has room for. */
  int headDim() {
    return tile.length / TILE;
  }

  /** Restores keys; {@code position} and {@code count} are multiples of 16. */
  void keys(KvLayer cache, int head, int position, int count) {
    data = tile;
    start = 0;
    int at = cache.keyBlock(head, position);
    switch (cache.bits()) {
      case 32 -> {
        data = cache.keyFloats;
        start = at;
      }
      case 16 -> floats(cache.keyHalves, at, count * cache.headDim(), tile);
      default -> {
        ranges(cache.keySteps, cache.keyMinimums, cache.headRow(head) + position, count);
        for (int p = 0; p < count; p += KvLayer.BLOCK) {
          int block = at + p * cache.row();
          for (int lane = 0; lane < KvLayer.BLOCK; lane += Lanes.COUNT) {
            if (cache.bits() == 3) {
              keysOf3Bits(cache, block + lane, p, lane);
            } else {
              keysOf8Or4Bits(cache, block + lane, p, lane);
            }
          }
        }
      }
    }
  }

  /** Restores values of any run of positions. */
  void values(KvLayer cache, int head, int position, int count) {
    data = tile;
    start = 0;
    int at = cache.valueRow(head, position);
    switch (cache.bits()) {
      case 32 -> {
        data = cache.valueFloats;
        start = at;
      }
      case 16 -> floats(cache.valueHalves, at, count * cache.headDim(), tile);
      default -> {
        ranges(cache.valueSteps, cache.valueMinimums, cache.headRow(head) + position, count);
        for (int p = 0; p < count; p++) {
          int row = at + p * cache.row();
          switch (cache.bits()) {
            case 8 -> valuesOf8Bits(cache, row, p);
            case 4 -> valuesOf4Bits(cache, row, p);
            default -> valuesOf3Bits(cache, row, p);
          }
        }
      }
    }
  }

  private static void floats(short[] halves, int from, int count, float[] out) {
    for (int i = 0; i < count; i++) {
      out[i] = Float.float16ToFloat(halves[from + i]);
    }
  }

  private void ranges(short[] halfSteps, short[] halfMinimums, int from, int count) {
    floats(halfSteps, from, count, steps);
    floats(halfMinimums, from, count, minimums);
  }

  /** One vector of positions, all channels. */
  private void keysOf8Or4Bits(KvLayer cache, int at, int p, int lane) {
    FloatVector step = FloatVector.fromArray(FLOATS, steps, p + lane);
    FloatVector minimum = FloatVector.fromArray(FLOATS, minimums, p + lane);
    int bits = cache.bits();
    int mask = (1 << bits) - 1;
    int out = p * cache.headDim() + lane;
    for (int w = 0; w < cache.row(); w++) {
      IntVector words = IntVector.fromArray(INTS, cache.keyWords, at + w * KvLayer.BLOCK);
      for (int shift = 0; shift < Integer.SIZE; shift += bits) {
        IntVector codes = words.lanewise(VectorOperators.LSHR, shift).and(mask);
        ((FloatVector) codes.convert(VectorOperators.I2F, 0))
            .fma(step, minimum)
            .intoArray(tile, out);
        out += KvLayer.BLOCK;
      }
    }
  }

  private void keysOf3Bits(KvLayer cache, int at, int p, int lane) {
    FloatVector step = FloatVector.fromArray(FLOATS, steps, p + lane);
    FloatVector minimum = FloatVector.fromArray(FLOATS, minimums, p + lane);
    int lowWords = cache.headDim() / 16;
    int out = p * cache.headDim() + lane;
    for (int w = 0; w < lowWords; w++) {
      IntVector low = IntVector.fromArray(INTS, cache.keyWords, at + w * KvLayer.BLOCK);
      IntVector high =
          IntVector.fromArray(INTS, cache.keyWords, at + (lowWords + w / 2) * KvLayer.BLOCK);
      high = high.lanewise(VectorOperators.LSHR, w % 2 * 16);
      for (int i = 0; i < 16; i++) {
        IntVector top = high.lanewise(VectorOperators.LSHR, i).and(1);
        IntVector codes = low.lanewise(VectorOperators.LSHR, 2 * i).and(3);
        codes = codes.or(top.lanewise(VectorOperators.LSHL, 2));
        ((FloatVector) codes.convert(VectorOperators.I2F, 0))
            .fma(step, minimum)
            .intoArray(tile, out);
        out += KvLayer.BLOCK;
      }
    }
  }

  private void valuesOf8Bits(KvLayer cache, int row, int p) {
    FloatVector step = FloatVector.broadcast(FLOATS, steps[p]);
    FloatVector minimum = FloatVector.broadcast(FLOATS, minimums[p]);
    int out = p * cache.headDim();
    for (int c = 0; c < cache.headDim(); c += Lanes.COUNT) {
      IntVector words =
          IntVector.fromArray(INTS, cache.valueWords, row + c / 4).rearrange(WORD_OF_BYTE);
      IntVector codes = words.lanewise(VectorOperators.LSHR, BYTE_SHIFTS).and(255);
      ((FloatVector) codes.convert(VectorOperators.I2F, 0))
          .fma(step, minimum)
          .intoArray(tile, out + c);
    }
  }

  private void valuesOf4Bits(KvLayer cache, int row, int p) {
    FloatVector step = FloatVector.broadcast(FLOATS, steps[p]);
    FloatVector minimum = FloatVector.broadcast(FLOATS, minimums[p]);
    int out = p * cache.headDim();
    for (int c = 0; c < cache.headDim(); c += Lanes.COUNT) {
      IntVector words =
          IntVector.fromArray(INTS, cache.valueWords, row + c / 8).rearrange(WORD_OF_NIBBLE);
      words = words.lanewise(VectorOperators.LSHR, c % 8 * 4);
      IntVector codes = words.lanewise(VectorOperators.LSHR, NIBBLE_SHIFTS).and(15);
      ((FloatVector) codes.convert(VectorOperators.I2F, 0))
          .fma(step, minimum)
          .intoArray(tile, out + c);
    }
  }

  private void valuesOf3Bits(KvLayer cache, int row, int p) {
    FloatVector step = FloatVector.broadcast(FLOATS, steps[p]);
    FloatVector minimum = FloatVector.broadcast(FLOATS, minimums[p]);
    int highWords = row + cache.headDim() / 16;
    int out = p * cache.headDim();
    for (int c = 0; c < cache.headDim(); c += Lanes.COUNT) {
      int low = cache.valueWords[row + c / 16] >>> (c % 16 * 2);
      int high = cache.valueWords[highWords + c / 32] >>> (c % 32);
      IntVector top =
          IntVector.broadcast(INTS, high).lanewise(VectorOperators.LSHR, BIT_SHIFTS).and(1);
      IntVector codes =
          IntVector.broadcast(INTS, low).lanewise(VectorOperators.LSHR, PAIR_SHIFTS).and(3);
      codes = codes.or(top.lanewise(VectorOperators.LSHL, 2));
      ((FloatVector) codes.convert(VectorOperators.I2F, 0))
          .fma(step, minimum)
          .intoArray(tile, out + c);
    }
  }
}
