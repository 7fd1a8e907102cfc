package dev.nibble.bench.kernel;

import java.util.Arrays;

/**
 * Keys and values of a sequence as a cache of some bits holds them, and attention over them in
 * double precision.
 *
 * @param keys positions x kvHeads x headDim
 * @param values as keys
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
record HostCache(float[] keys, float[] values, int kvHeads, int headDim) {
  private static final float LEAST_STEP = 1e-5f;
  private static final float MOST_STEP = 1e4f;

  /** What the cache gives back of keys and values that were put into it. */
  static HostCache of(float[] keys, float[] values, int kvHeads, int headDim, int bits) {
    return new HostCache(kept(keys, headDim, bits), kept(values, headDim, bits), kvHeads, headDim);
  }

  /** Each head of each position is rounded by itself, as native/include/kv_cache.h tells. */
  private static float[] kept(float[] source, int headDim, int bits) {
    float[] kept = source.clone();
    if (bits == 16) {
      return kept;
    }
    int most = (1 << bits) - 1;
    for (int from = 0; from < kept.length; from += headDim) {
      float min = Float.POSITIVE_INFINITY;
      float max = Float.NEGATIVE_INFINITY;
      for (int i = from; i < from + headDim; i++) {
        min = Math.min(min, kept[i]);
        max = Math.max(max, kept[i]);
      }
      float step = half(Math.clamp((max - min) / most, LEAST_STEP, MOST_STEP));
      float zero = (float) Math.rint(-min / step);
      float minimum = half(-zero * step);
      for (int i = from; i < from + headDim; i++) {
        float code = Math.clamp((float) Math.rint(kept[i] / step) + zero, 0f, (float) most);
        kept[i] = code * step + minimum;
      }
    }
    return kept;
  }

  private static float half(float value) {
    return Float.float16ToFloat(Float.floatToFloat16(value));
  }

  /**
   * What a query attends to.
   *
   * @param queries its row's, all heads
   * @param at where the row starts
   * @param head of the query
   * @param kvHead that it reads
   * @param positions that it sees
   * @return headDim values
   */
  double[] attend(float[] queries, int at, int head, int kvHead, int positions) {
    double[] scores = new double[positions];
    double most = Double.NEGATIVE_INFINITY;
    for (int p = 0; p < positions; p++) {
      double sum = 0;
      for (int d = 0; d < headDim; d++) {
        sum += (double) queries[at + head * headDim + d] * keys[index(p, kvHead) + d];
      }
      scores[p] = sum / Math.sqrt(headDim);
      most = Math.max(most, scores[p]);
    }
    double weight = 0;
    double[] result = new double[headDim];
    for (int p = 0; p < positions; p++) {
      double share = Math.exp(scores[p] - most);
      weight += share;
      for (int d = 0; d < headDim; d++) {
        result[d] += share * values[index(p, kvHead) + d];
      }
    }
    for (int d = 0; d < headDim; d++) {
      result[d] /= weight;
    }
    return result;
  }

  /** A key of a position. */
  double[] key(int position, int kvHead) {
    return row(keys, position, kvHead);
  }

  /** A value of a position. */
  double[] value(int position, int kvHead) {
    return row(values, position, kvHead);
  }

  private double[] row(float[] rows, int position, int kvHead) {
    double[] row = new double[headDim];
    Arrays.setAll(row, d -> rows[index(position, kvHead) + d]);
    return row;
  }

  private int index(int position, int kvHead) {
    return (position * kvHeads + kvHead) * headDim;
  }
}
