package dev.nibble.runtime.kernel;

import dev.nibble.quantizer.format.ModelConfig.RopeConfig;
import dev.nibble.quantizer.tensor.RotaryEmbedding;
import dev.nibble.quantizer.tensor.ScalarOperations;
import java.util.Arrays;
import java.util.Optional;
import java.util.Random;

/** What attention does to queries and keys before they meet, by the scalar operations. */
final class HeadInputs {
  private static final float EPSILON = 1e-6f;
  private static final double THETA = 10_000;

  /** What is done. */
  enum Kind {
    /** Nothing. */
    PLAIN,
    /** Rotation. */
    ROTATED,
    /** Norms of the heads, rotation in an order of its own for each. */
    NORMED
  }

  private final Kind kind;
  private final int headDim;
  private final int queryBits;
  private final RotaryEmbedding rope;
  private final float[] queryNorm;
  private final float[] keyNorm;
  private final AttentionHeads device;

  HeadInputs(
      GpuFixture gpu,
      Random random,
      Kind kind,
      int heads,
      KvLayout cache,
      int queryBits,
      int positions) {
    this.kind = kind;
    this.queryBits = queryBits;
    headDim = cache.headDim();
    queryNorm = GpuFixture.gaussian(random, headDim, 1);
    keyNorm = GpuFixture.gaussian(random, headDim, 1);
    RotaryEmbedding tables =
        new RotaryEmbedding(new RopeConfig(THETA, Optional.empty()), headDim, positions);
    int half = headDim / 2;
    short[] order = new short[cache.kvHeads() * half];
    int[][] rows = new int[cache.kvHeads()][half];
    for (int h = 0; h < rows.length; h++) {
      short[] row = Permutation.of(random, half);
      System.arraycopy(row, 0, order, h * half, half);
      Arrays.setAll(rows[h], i -> row[i]);
    }
    boolean normed = kind == Kind.NORMED;
    boolean rotated = kind != Kind.PLAIN;
    rope = normed ? tables.withOrder(rows) : tables;
    device =
        new AttentionHeads(
            heads,
            queryBits,
            EPSILON,
            normed ? gpu.floats(queryNorm) : null,
            normed ? gpu.floats(keyNorm) : null,
            rotated ? gpu.floats(tables.cosines()) : null,
            rotated ? gpu.floats(tables.sines()) : null,
            normed ? gpu.shorts(order) : null);
  }

  AttentionHeads device() {
    return device;
  }

  /** Queries of tokens at positions, [tokens, heads, headDim]. */
  float[] queries(float[] x, int[] positions) {
    float[] q = turned(x, queryNorm, positions);
    if (queryBits < 16) {
      try (ScalarOperations oracle = new ScalarOperations()) {
        oracle.fakeQuantize(q, 0, q.length / headDim, headDim, queryBits);
      }
    }
    return q;
  }

  float[] keys(float[] x, int[] positions) {
    return turned(x, keyNorm, positions);
  }

  private float[] turned(float[] x, float[] norm, int[] positions) {
    float[] y = x.clone();
    try (ScalarOperations oracle = new ScalarOperations()) {
      if (kind == Kind.NORMED) {
        oracle.rmsNorm(y, 0, y.length / headDim, norm, EPSILON, y);
      }
      if (kind != Kind.PLAIN) {
        int heads = y.length / headDim / positions.length;
        oracle.rope(y, positions.length, heads, rope, positions);
      }
    }
    return y;
  }
}
