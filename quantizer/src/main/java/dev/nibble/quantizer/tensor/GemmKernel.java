package dev.nibble.quantizer.tensor;

import static dev.nibble.quantizer.tensor.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;

/**
 * Products of a few rows with a panel of {@link #WIDTH} columns. Each element is one chain of fused
 * multiply-adds over k in ascending order that begins at what the result holds, so that neither the
 * tiling nor the vector width changes a bit.
 */
final class GemmKernel {
  /** Columns of a panel. */
  static final int WIDTH = 32;

  /** Rows of {@link #eight}. */
  static final int TILE = 8;

  private static final int LANES = FLOATS.length();

  private GemmKernel() {}

  /**
   * c[r, 0..31] += sum over k of a[r, k] panel[k, 0..31], for 8 rows.
   *
   * @param a left side, element (r, k) at {@code at + r * rowStride + k}: were k's step not a
   *     constant, C2 would check every index
   * @param panel [depth, 32] from {@code from}
   * @param c row r from {@code to + r * stride}
   */
  static void eight(
      float[] a,
      int at,
      int rowStride,
      float[] panel,
      int from,
      int depth,
      float[] c,
      int to,
      int stride) {
    for (int i = 0; i < WIDTH; i += 2 * LANES) {
      int o = to + i;
      FloatVector a0 = FloatVector.fromArray(FLOATS, c, o);
      FloatVector b0 = FloatVector.fromArray(FLOATS, c, o + LANES);
      FloatVector a1 = FloatVector.fromArray(FLOATS, c, o + stride);
      FloatVector b1 = FloatVector.fromArray(FLOATS, c, o + stride + LANES);
      FloatVector a2 = FloatVector.fromArray(FLOATS, c, o + 2 * stride);
      FloatVector b2 = FloatVector.fromArray(FLOATS, c, o + 2 * stride + LANES);
      FloatVector a3 = FloatVector.fromArray(FLOATS, c, o + 3 * stride);
      FloatVector b3 = FloatVector.fromArray(FLOATS, c, o + 3 * stride + LANES);
      FloatVector a4 = FloatVector.fromArray(FLOATS, c, o + 4 * stride);
      FloatVector b4 = FloatVector.fromArray(FLOATS, c, o + 4 * stride + LANES);
      FloatVector a5 = FloatVector.fromArray(FLOATS, c, o + 5 * stride);
      FloatVector b5 = FloatVector.fromArray(FLOATS, c, o + 5 * stride + LANES);
      FloatVector a6 = FloatVector.fromArray(FLOATS, c, o + 6 * stride);
      FloatVector b6 = FloatVector.fromArray(FLOATS, c, o + 6 * stride + LANES);
      FloatVector a7 = FloatVector.fromArray(FLOATS, c, o + 7 * stride);
      FloatVector b7 = FloatVector.fromArray(FLOATS, c, o + 7 * stride + LANES);
      int p = from + i;
      int x = at;
      for (int k = 0; k < depth; k++, p += WIDTH, x++) {
        FloatVector u = FloatVector.fromArray(FLOATS, panel, p);
        FloatVector w = FloatVector.fromArray(FLOATS, panel, p + LANES);
        FloatVector v = FloatVector.broadcast(FLOATS, a[x]);
        a0 = u.fma(v, a0);
        b0 = w.fma(v, b0);
        v = FloatVector.broadcast(FLOATS, a[x + rowStride]);
        a1 = u.fma(v, a1);
        b1 = w.fma(v, b1);
        v = FloatVector.broadcast(FLOATS, a[x + 2 * rowStride]);
        a2 = u.fma(v, a2);
        b2 = w.fma(v, b2);
        v = FloatVector.broadcast(FLOATS, a[x + 3 * rowStride]);
        a3 = u.fma(v, a3);
        b3 = w.fma(v, b3);
        v = FloatVector.broadcast(FLOATS, a[x + 4 * rowStride]);
        a4 = u.fma(v, a4);
        b4 = w.fma(v, b4);
        v = FloatVector.broadcast(FLOATS, a[x + 5 * rowStride]);
        a5 = u.fma(v, a5);
        b5 = w.fma(v, b5);
        v = FloatVector.broadcast(FLOATS, a[x + 6 * rowStride]);
        a6 = u.fma(v, a6);
        b6 = w.fma(v, b6);
        v = FloatVector.broadcast(FLOATS, a[x + 7 * rowStride]);
        a7 = u.fma(v, a7);
        b7 = w.fma(v, b7);
      }
      a0.intoArray(c, o);
      b0.intoArray(c, o + LANES);
      a1.intoArray(c, o + stride);
      b1.intoArray(c, o + stride + LANES);
      a2.intoArray(c, o + 2 * stride);
      b2.intoArray(c, o + 2 * stride + LANES);
      a3.intoArray(c, o + 3 * stride);
      b3.intoArray(c, o + 3 * stride + LANES);
      a4.intoArray(c, o + 4 * stride);
      b4.intoArray(c, o + 4 * stride + LANES);
      a5.intoArray(c, o + 5 * stride);
      b5.intoArray(c, o + 5 * stride + LANES);
      a6.intoArray(c, o + 6 * stride);
      b6.intoArray(c, o + 6 * stride + LANES);
      a7.intoArray(c, o + 7 * stride);
      b7.intoArray(c, o + 7 * stride + LANES);
    }
  }

  /** As {@link #eight} for one row. */
  static void one(float[] a, int at, float[] panel, int from, int depth, float[] c, int to) {
    for (int i = 0; i < WIDTH; i += 2 * LANES) {
      FloatVector sum = FloatVector.fromArray(FLOATS, c, to + i);
      FloatVector next = FloatVector.fromArray(FLOATS, c, to + i + LANES);
      int p = from + i;
      int x = at;
      for (int k = 0; k < depth; k++, p += WIDTH, x++) {
        FloatVector v = FloatVector.broadcast(FLOATS, a[x]);
        sum = FloatVector.fromArray(FLOATS, panel, p).fma(v, sum);
        next = FloatVector.fromArray(FLOATS, panel, p + LANES).fma(v, next);
      }
      sum.intoArray(c, to + i);
      next.intoArray(c, to + i + LANES);
    }
  }
}
