package dev.nibble.quantizer.tensor;

import static dev.nibble.quantizer.tensor.Lanes.FLOATS;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;

/**
 * Causal attention over a cache. The query heads that share a key head, of neighbouring tokens, are
 * computed in blocks of {@link #ROWS} rows, so that each tile of the cache is restored once for all
 * of them: first every score, then the softmax, then the weighted values. A row's sums run over
 * channels, and over positions, one after another, whatever else is in its block.
 */
final class VectorAttention implements WorkerThreads.RangeTask {
  /** Query rows of a block. */
  private static final int ROWS = 16;

  /** Multiply-adds below which other threads are not worth waking. */
  private static final long ALONE = 1 << 15;

  /**
   * A step of a block. Called through one loop, the steps are too many to be inlined there, and so
   * each is compiled by itself: all of them together are more than C2 keeps free of objects.
   */
  @FunctionalInterface
  private interface Stage {
    void run(int head, int firstRow, int count, Scratch scratch);
  }

  private final WorkerThreads threads;
  private final Scratch[] scratches;
  private final Stage[] stages = {this::scores, this::exponentials, this::values, this::outputs};
  private float[] q = {};
  private float[] out = {};
  private KvLayer cache;
  private int offset;
  private int heads;
  private int group;
  private int rows;
  private int position;
  private int window;

  VectorAttention(WorkerThreads threads) {
    this.threads = threads;
    cache = new KvLayer(32, 1, 1, KvLayer.BLOCK);
    scratches = new Scratch[threads.threads()];
    for (int i = 0; i < scratches.length; i++) {
      scratches[i] = new Scratch();
    }
  }

  void attend(
      float[] queries,
      int first,
      int tokens,
      int queryHeads,
      KvLayer layer,
      int start,
      int visible,
      float[] outputs) {
    q = queries;
    out = outputs;
    cache = layer;
    offset = first;
    heads = queryHeads;
    group = queryHeads / layer.kvHeads();
    rows = tokens * group;
    position = start;
    window = visible;
    for (Scratch scratch : scratches) {
      scratch.reserve(layer);
    }
    int items = layer.kvHeads() * Math.ceilDiv(rows, ROWS);
    if ((long) tokens * queryHeads * (start + tokens) * layer.headDim() < ALONE) {
      run(0, items, 0);
    } else {
      threads.run(items, this);
    }
  }

  @Override
  public void run(int from, int to, int worker) {
    int blocks = Math.ceilDiv(rows, ROWS);
    for (int item = from; item < to; item++) {
      int firstRow = item % blocks * ROWS;
      block(item / blocks, firstRow, Math.min(ROWS, rows - firstRow), scratches[worker]);
    }
  }

  private void block(int head, int firstRow, int count, Scratch scratch) {
    for (Stage stage : stages) {
      stage.run(head, firstRow, count, scratch);
    }
  }

  /** Where the scores of a block's rows start: the block of positions of the first one visible. */
  private int firstScore(int firstRow) {
    return visibleFrom(firstRow) / KvLayer.BLOCK * KvLayer.BLOCK;
  }

  private void exponentials(int head, int firstRow, int count, Scratch scratch) {
    for (int i = 0; i < count; i++) {
      int scores = i * scratch.scoreStride - firstScore(firstRow);
      int row = firstRow + i;
      scratch.totals[i] =
          scratch.rowMath.exponentials(
              scratch.scores, scores + visibleFrom(row), scores + visibleTo(row));
    }
  }

  private void outputs(int head, int firstRow, int count, Scratch scratch) {
    int headDim = cache.headDim();
    for (int i = 0; i < count; i++) {
      int to = element(head, firstRow + i);
      for (int c = 0; c < headDim; c++) {
        out[to + c] = scratch.sums[i * headDim + c] / scratch.totals[i];
      }
    }
  }

  private int visibleTo(int row) {
    return position + row / group + 1;
  }

  private int visibleFrom(int row) {
    return window == 0 ? 0 : Math.max(0, visibleTo(row) - window);
  }

  /** Where a row's query and output start. */
  private int element(int head, int row) {
    return offset + (row / group * heads + head * group + row % group) * cache.headDim();
  }

  private void scores(int head, int firstRow, int count, Scratch scratch) {
    int firstScore = firstScore(firstRow);
    int end = Math.ceilDiv(visibleTo(firstRow + count - 1), KvLayer.BLOCK) * KvLayer.BLOCK;
    for (int p = firstScore; p < end; p += VectorKeyValues.TILE) {
      int positions = Math.min(VectorKeyValues.TILE, end - p);
      scratch.tiles.keys(cache, head, p, positions);
      int first = 0;
      while (visibleTo(firstRow + first) <= p) {
        first++;
      }
      for (int i = first; i < count; i += 2) {
        int other = Math.min(i + 1, count - 1);
        scratch.rowA = element(head, firstRow + i);
        scratch.rowB = element(head, firstRow + other);
        scratch.scoresA = i * scratch.scoreStride + p - firstScore;
        scratch.scoresB = other * scratch.scoreStride + p - firstScore;
        scores(positions, scratch);
      }
    }
  }

  /** The scores of two rows at some positions of a tile. */
  private void scores(int positions, Scratch scratch) {
    int p = 0;
    for (; p + 4 * Lanes.COUNT <= positions; p += 4 * Lanes.COUNT) {
      fourScores(p, scratch);
    }
    for (; p < positions; p += Lanes.COUNT) {
      oneScore(p, scratch);
    }
  }

  private static int key(int start, int p, int headDim) {
    return start + p / KvLayer.BLOCK * KvLayer.BLOCK * headDim + p % KvLayer.BLOCK;
  }

  private void fourScores(int p, Scratch scratch) {
    int headDim = cache.headDim();
    float[] keys = scratch.tiles.data();
    int start = scratch.tiles.start();
    int k0 = key(start, p, headDim);
    int k1 = key(start, p + Lanes.COUNT, headDim);
    int k2 = key(start, p + 2 * Lanes.COUNT, headDim);
    int k3 = key(start, p + 3 * Lanes.COUNT, headDim);
    int rowA = scratch.rowA;
    int rowB = scratch.rowB;
    float[] queries = q;
    FloatVector a0 = FloatVector.broadcast(FLOATS, 0);
    FloatVector a1 = a0;
    FloatVector a2 = a0;
    FloatVector a3 = a0;
    FloatVector b0 = a0;
    FloatVector b1 = a0;
    FloatVector b2 = a0;
    FloatVector b3 = a0;
    for (int c = 0; c < headDim; c++) {
      int at = c * KvLayer.BLOCK;
      FloatVector qa = FloatVector.broadcast(FLOATS, queries[rowA + c]);
      FloatVector qb = FloatVector.broadcast(FLOATS, queries[rowB + c]);
      FloatVector key = FloatVector.fromArray(FLOATS, keys, k0 + at);
      a0 = key.fma(qa, a0);
      b0 = key.fma(qb, b0);
      key = FloatVector.fromArray(FLOATS, keys, k1 + at);
      a1 = key.fma(qa, a1);
      b1 = key.fma(qb, b1);
      key = FloatVector.fromArray(FLOATS, keys, k2 + at);
      a2 = key.fma(qa, a2);
      b2 = key.fma(qb, b2);
      key = FloatVector.fromArray(FLOATS, keys, k3 + at);
      a3 = key.fma(qa, a3);
      b3 = key.fma(qb, b3);
    }
    float scale = (float) (1 / Math.sqrt(headDim));
    float[] scores = scratch.scores;
    int a = scratch.scoresA + p;
    int b = scratch.scoresB + p;
    a0.mul(scale).intoArray(scores, a);
    a1.mul(scale).intoArray(scores, a + Lanes.COUNT);
    a2.mul(scale).intoArray(scores, a + 2 * Lanes.COUNT);
    a3.mul(scale).intoArray(scores, a + 3 * Lanes.COUNT);
    b0.mul(scale).intoArray(scores, b);
    b1.mul(scale).intoArray(scores, b + Lanes.COUNT);
    b2.mul(scale).intoArray(scores, b + 2 * Lanes.COUNT);
    b3.mul(scale).intoArray(scores, b + 3 * Lanes.COUNT);
  }

  private void oneScore(int p, Scratch scratch) {
    int headDim = cache.headDim();
    float[] keys = scratch.tiles.data();
    int k = key(scratch.tiles.start(), p, headDim);
    FloatVector a = FloatVector.broadcast(FLOATS, 0);
    FloatVector b = a;
    for (int c = 0; c < headDim; c++) {
      FloatVector key = FloatVector.fromArray(FLOATS, keys, k + c * KvLayer.BLOCK);
      a = key.fma(FloatVector.broadcast(FLOATS, q[scratch.rowA + c]), a);
      b = key.fma(FloatVector.broadcast(FLOATS, q[scratch.rowB + c]), b);
    }
    float scale = (float) (1 / Math.sqrt(headDim));
    a.mul(scale).intoArray(scratch.scores, scratch.scoresA + p);
    b.mul(scale).intoArray(scratch.scores, scratch.scoresB + p);
  }

  private void values(int head, int firstRow, int count, Scratch scratch) {
    int firstScore = firstScore(firstRow);
    Arrays.fill(scratch.sums, 0, count * cache.headDim(), 0);
    int end = visibleTo(firstRow + count - 1);
    for (int p = visibleFrom(firstRow); p < end; p += VectorKeyValues.TILE) {
      int tileEnd = Math.min(end, p + VectorKeyValues.TILE);
      scratch.tiles.values(cache, head, p, tileEnd - p);
      for (int i = 0; i < count; i += 2) {
        int other = Math.min(i + 1, count - 1);
        pair(firstRow, i, other, p, tileEnd, firstScore, scratch);
      }
    }
  }

  /**
   * Adds a tile's values to two rows: together where both see a position, each by itself where the
   * other must not touch it, for a score of 0 would still let a NaN through.
   */
  private void pair(
      int firstRow, int i, int other, int p, int tileEnd, int firstScore, Scratch scratch) {
    int fromA = Math.max(p, visibleFrom(firstRow + i));
    int fromB = Math.max(p, visibleFrom(firstRow + other));
    int toA = Math.min(tileEnd, visibleTo(firstRow + i));
    int toB = Math.min(tileEnd, visibleTo(firstRow + other));
    int shift = p - firstScore;
    // Rows are in the order of their tokens, so A starts and ends no later than B.
    add(i, i, fromA - p, Math.min(fromB, toA) - p, shift, scratch);
    add(i, other, fromB - p, toA - p, shift, scratch);
    add(other, other, Math.max(fromB, toA) - p, toB - p, shift, scratch);
  }

  /** sums += score * value over positions from..to-1 of the tile, for rows a and b. */
  private void add(int a, int b, int from, int to, int shift, Scratch scratch) {
    if (from >= to) {
      return;
    }
    int headDim = cache.headDim();
    scratch.scoresA = a * scratch.scoreStride + shift;
    scratch.scoresB = b * scratch.scoreStride + shift;
    scratch.rowA = a * headDim;
    scratch.rowB = b * headDim;
    int c = 0;
    for (; c + 4 * Lanes.COUNT <= headDim; c += 4 * Lanes.COUNT) {
      addFour(c, from, to, headDim, scratch);
    }
    for (; c < headDim; c += Lanes.COUNT) {
      addOne(c, from, to, headDim, scratch);
    }
  }

  private static void addFour(int c, int from, int to, int headDim, Scratch scratch) {
    float[] values = scratch.tiles.data();
    float[] scores = scratch.scores;
    float[] sums = scratch.sums;
    int value = scratch.tiles.start() + c;
    int scoresA = scratch.scoresA;
    int scoresB = scratch.scoresB;
    int a = scratch.rowA + c;
    int b = scratch.rowB + c;
    FloatVector a0 = FloatVector.fromArray(FLOATS, sums, a);
    FloatVector a1 = FloatVector.fromArray(FLOATS, sums, a + Lanes.COUNT);
    FloatVector a2 = FloatVector.fromArray(FLOATS, sums, a + 2 * Lanes.COUNT);
    FloatVector a3 = FloatVector.fromArray(FLOATS, sums, a + 3 * Lanes.COUNT);
    FloatVector b0 = FloatVector.fromArray(FLOATS, sums, b);
    FloatVector b1 = FloatVector.fromArray(FLOATS, sums, b + Lanes.COUNT);
    FloatVector b2 = FloatVector.fromArray(FLOATS, sums, b + 2 * Lanes.COUNT);
    FloatVector b3 = FloatVector.fromArray(FLOATS, sums, b + 3 * Lanes.COUNT);
    for (int p = from; p < to; p++) {
      int at = value + p * headDim;
      FloatVector sa = FloatVector.broadcast(FLOATS, scores[scoresA + p]);
      FloatVector sb = FloatVector.broadcast(FLOATS, scores[scoresB + p]);
      FloatVector v = FloatVector.fromArray(FLOATS, values, at);
      a0 = v.fma(sa, a0);
      b0 = v.fma(sb, b0);
      v = FloatVector.fromArray(FLOATS, values, at + Lanes.COUNT);
      a1 = v.fma(sa, a1);
      b1 = v.fma(sb, b1);
      v = FloatVector.fromArray(FLOATS, values, at + 2 * Lanes.COUNT);
      a2 = v.fma(sa, a2);
      b2 = v.fma(sb, b2);
      v = FloatVector.fromArray(FLOATS, values, at + 3 * Lanes.COUNT);
      a3 = v.fma(sa, a3);
      b3 = v.fma(sb, b3);
    }
    a0.intoArray(sums, a);
    a1.intoArray(sums, a + Lanes.COUNT);
    a2.intoArray(sums, a + 2 * Lanes.COUNT);
    a3.intoArray(sums, a + 3 * Lanes.COUNT);
    b0.intoArray(sums, b);
    b1.intoArray(sums, b + Lanes.COUNT);
    b2.intoArray(sums, b + 2 * Lanes.COUNT);
    b3.intoArray(sums, b + 3 * Lanes.COUNT);
  }

  private static void addOne(int c, int from, int to, int headDim, Scratch scratch) {
    float[] values = scratch.tiles.data();
    int value = scratch.tiles.start() + c;
    FloatVector a = FloatVector.fromArray(FLOATS, scratch.sums, scratch.rowA + c);
    FloatVector b = FloatVector.fromArray(FLOATS, scratch.sums, scratch.rowB + c);
    for (int p = from; p < to; p++) {
      FloatVector v = FloatVector.fromArray(FLOATS, values, value + p * headDim);
      a = v.fma(FloatVector.broadcast(FLOATS, scratch.scores[scratch.scoresA + p]), a);
      b = v.fma(FloatVector.broadcast(FLOATS, scratch.scores[scratch.scoresB + p]), b);
    }
    a.intoArray(scratch.sums, scratch.rowA + c);
    b.intoArray(scratch.sums, scratch.rowB + c);
  }

  /** What one worker needs; it grows with the longest cache and the widest head seen. */
  private static final class Scratch {
    final VectorRows rowMath = new VectorRows();
    final float[] totals = new float[ROWS];
    VectorKeyValues tiles = new VectorKeyValues(KvLayer.BLOCK);
    float[] scores = {};
    float[] sums = new float[ROWS * KvLayer.BLOCK];
    int scoreStride;

    /** The two rows at work: where their queries or sums start, and their scores. */
    int rowA;

    int rowB;
    int scoresA;
    int scoresB;

    void reserve(KvLayer cache) {
      int stride = Math.addExact(cache.capacity(), 2 * KvLayer.BLOCK);
      if (scoreStride < stride) {
        scores = new float[Math.multiplyExact(ROWS, stride)];
        scoreStride = stride;
      }
      if (tiles.headDim() < cache.headDim()) {
        tiles = new VectorKeyValues(cache.headDim());
        sums = new float[Math.multiplyExact(ROWS, cache.headDim())];
      }
    }
  }
}
