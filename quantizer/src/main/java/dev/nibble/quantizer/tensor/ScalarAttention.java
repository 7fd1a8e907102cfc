package dev.nibble.quantizer.tensor;

import java.util.Arrays;

/** Causal attention in double precision, one query head after another. Not thread-safe. */
final class ScalarAttention {
  private double[] scores = {};
  private double[] sums = {};
  private float[] row = {};

  void attend(
      float[] q,
      int offset,
      int tokens,
      int heads,
      KvLayer cache,
      int position,
      int window,
      float[] out) {
    int headDim = cache.headDim();
    if (scores.length < cache.capacity() || row.length < headDim) {
      scores = new double[cache.capacity()];
      sums = new double[headDim];
      row = new float[headDim];
    }
    for (int t = 0; t < tokens; t++) {
      int end = position + t + 1;
      int start = window == 0 ? 0 : Math.max(0, end - window);
      for (int h = 0; h < heads; h++) {
        int at = offset + (t * heads + h) * headDim;
        attend(q, at, cache, h / (heads / cache.kvHeads()), start, end, out);
      }
    }
  }

  private void attend(float[] q, int at, KvLayer cache, int head, int start, int end, float[] out) {
    int headDim = cache.headDim();
    double scale = 1 / Math.sqrt(headDim);
    double max = Double.NEGATIVE_INFINITY;
    for (int p = start; p < end; p++) {
      cache.readKey(head, p, row);
      double dot = 0;
      for (int i = 0; i < headDim; i++) {
        dot += (double) q[at + i] * row[i];
      }
      scores[p] = dot * scale;
      max = Math.max(max, scores[p]);
    }
    double total = 0;
    Arrays.fill(sums, 0, headDim, 0);
    for (int p = start; p < end; p++) {
      double weight = Math.exp(scores[p] - max);
      total += weight;
      cache.readValue(head, p, row);
      for (int i = 0; i < headDim; i++) {
        sums[i] += weight * row[i];
      }
    }
    for (int i = 0; i < headDim; i++) {
      out[at + i] = (float) (sums[i] / total);
    }
  }
}
