package dev.nibble.runtime.engine;

import dev.nibble.quantizer.tensor.KvLayer;
import dev.nibble.runtime.engine.TensorCore.Halves;
import java.util.IdentityHashMap;

/**
 * Attention as kernels do it: keys and values restored to halves, weights rounded to halves while
 * the largest score so far counts as 1, in a decode step the largest of each tile by itself.
 */
final class HalfAttention {
  private static final float LOG2_E = (float) (1 / Math.log(2));
  private static final int STEP_TILE = 16;

  private final int promptTile;
  private final IdentityHashMap<KvLayer, Cache> caches = new IdentityHashMap<>();

  /** Keys [kvHeads, positions, headDim], values [kvHeads, headDim, positions]. */
  private record Cache(Halves keys, Halves values) {
    static Cache of(KvLayer layer) {
      int elements = layer.capacity() * layer.kvHeads() * layer.headDim();
      return new Cache(new Halves(elements), new Halves(elements));
    }
  }

  /** With the tiles of the kernel that takes heads of so many channels. */
  HalfAttention(int headDim) {
    boolean onHopper = System.getProperty("image", "sm_90a").equals("sm_90a");
    promptTile = onHopper && (headDim == 64 || headDim == 128) ? 128 : 64;
  }

  void append(KvLayer layer, int position, float[] keys, float[] values, int offset, int tokens) {
    Cache cache = caches.computeIfAbsent(layer, Cache::of);
    int headDim = layer.headDim();
    for (int i = 0; i < tokens * layer.kvHeads(); i++) {
      int from = offset + i * headDim;
      restore(keys, from, headDim, layer.bits());
      restore(values, from, headDim, layer.bits());
      int head = i % layer.kvHeads() * headDim * layer.capacity();
      int at = position + i / layer.kvHeads();
      for (int c = 0; c < headDim; c++) {
        cache.keys.set(head + at * headDim + c, keys[from + c]);
        cache.values.set(head + c * layer.capacity() + at, values[from + c]);
      }
    }
  }

  /** Replaces values by what codes keep of them. */
  private static void restore(float[] x, int from, int count, int bits) {
    if (bits < 16) {
      CodeRange range = CodeRange.ofHalf(x, from, count, bits);
      float minimum = Halves.round(-range.zero() * range.step());
      for (int i = from; i < from + count; i++) {
        x[i] = Math.fma(range.code(x[i]), range.step(), minimum);
      }
    }
  }

  void attend(
      float[] q,
      int offset,
      int tokens,
      int heads,
      KvLayer layer,
      int position,
      int window,
      float[] out) {
    int headDim = layer.headDim();
    int tile = tokens == 1 ? STEP_TILE : promptTile;
    for (int i = 0; i < tokens * heads; i++) {
      int at = offset + i * headDim;
      int end = position + i / heads + 1;
      int start = window == 0 ? 0 : Math.max(0, end - window);
      Row row = new Row(Halves.of(q, at, headDim), layer, i % heads / (heads / layer.kvHeads()));
      Softmax all = row.softmax();
      for (int first = start / tile * tile; first < end; first += tile) {
        Softmax part = tokens == 1 ? row.softmax() : all;
        row.attend(first, Math.max(first, start), Math.min(first + tile, end), part);
        if (tokens == 1) {
          all.merge(part);
        }
      }
      all.average(out, at);
    }
  }

  /** A query and the head that it reads. */
  private final class Row {
    private final Halves query;
    private final Cache cache;
    private final int headDim;
    private final int capacity;
    private final int head;
    private final float scale;

    Row(Halves query, KvLayer layer, int kvHead) {
      this.query = query;
      cache = caches.computeIfAbsent(layer, Cache::of);
      headDim = layer.headDim();
      capacity = layer.capacity();
      head = kvHead * headDim * capacity;
      scale = LOG2_E / (float) Math.sqrt(headDim);
    }

    Softmax softmax() {
      return new Softmax(headDim);
    }

    /** Adds positions of a tile that starts at {@code tile}. */
    void attend(int tile, int start, int end, Softmax softmax) {
      float[] scores = new float[end - tile];
      float largest = softmax.exponent;
      for (int p = start; p < end; p++) {
        float score = TensorCore.add(0, query, 0, cache.keys, head + p * headDim, headDim);
        scores[p - tile] = score;
        largest = Math.max(largest, score * scale);
      }
      softmax.shrink(largest);
      Halves weights = new Halves(end - tile);
      for (int p = start; p < end; p++) {
        float weight = (float) Math.pow(2, Math.fma(scores[p - tile], scale, -largest));
        weights.set(p - tile, weight);
        softmax.addWeight(p - tile, weight);
      }
      for (int c = 0; c < headDim; c++) {
        softmax.values[c] =
            TensorCore.add(
                softmax.values[c],
                weights,
                0,
                cache.values,
                head + c * capacity + tile,
                end - tile);
      }
    }
  }

  /** Values weighted by powers of 2, and the weights' sum, in the parts that lanes add. */
  private static final class Softmax {
    private static final int LANES = 4;

    final float[] values;
    private final float[] weights = new float[LANES];
    float exponent = Float.NEGATIVE_INFINITY;

    Softmax(int headDim) {
      values = new float[headDim];
    }

    /** Makes another exponent count as 1. */
    void shrink(float to) {
      float factor = exponent == to ? 1 : (float) Math.pow(2, exponent - to);
      exponent = to;
      for (int i = 0; i < LANES; i++) {
        weights[i] *= factor;
      }
      for (int c = 0; c < values.length; c++) {
        values[c] *= factor;
      }
    }

    void addWeight(int column, float weight) {
      weights[column / 2 % LANES] += weight;
    }

    void merge(Softmax part) {
      float largest = Math.max(exponent, part.exponent);
      shrink(largest);
      part.shrink(largest);
      for (int i = 0; i < LANES; i++) {
        weights[i] += part.weights[i];
      }
      for (int c = 0; c < values.length; c++) {
        values[c] += part.values[c];
      }
    }

    void average(float[] out, int at) {
      float factor = 1 / (weights[0] + weights[1] + (weights[2] + weights[3]));
      for (int c = 0; c < values.length; c++) {
        out[at + c] = Halves.round(values[c] * factor);
      }
    }
  }
}
