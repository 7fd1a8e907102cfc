package dev.nibble.quantizer.tensor;

import java.util.Arrays;

/**
 * The right side of float products, in panels of {@link GemmKernel#WIDTH} columns: [panels][depth,
 * 32], the last one padded with zeros. Packed anew for each product; its memory is kept.
 */
final class FloatPanels {
  /** Rows of a panel that are multiplied before the next panel's: 16 KiB stay in the L1 cache. */
  private static final int DEPTH_BLOCK = 128;

  private static final int WIDTH = GemmKernel.WIDTH;
  private static final int TILE = GemmKernel.TILE;

  private float[] data = {};
  private int depth;
  private int columns;

  /** Makes room for a matrix of {@code depth} rows. */
  void reset(int depth, int columns) {
    this.depth = depth;
    this.columns = columns;
    int needed = Math.multiplyExact(Math.multiplyExact(panels(), depth), WIDTH);
    if (data.length < needed) {
      data = new float[needed];
    }
  }

  int panels() {
    return Math.ceilDiv(columns, WIDTH);
  }

  /** Packs panels {@code from} to {@code to - 1} of b [depth, columns]. */
  void pack(FloatMatrix b, int from, int to) {
    for (int panel = from; panel < to; panel++) {
      int first = panel * WIDTH;
      int width = Math.min(WIDTH, columns - first);
      int out = panel * depth * WIDTH;
      int in = b.offset() + first * b.columnStride();
      if (width < WIDTH) {
        Arrays.fill(data, out, out + depth * WIDTH, 0f);
      }
      if (b.columnStride() == 1) {
        for (int k = 0; k < depth; k++) {
          System.arraycopy(b.data(), in + k * b.rowStride(), data, out + k * WIDTH, width);
        }
      } else {
        packAcross(b, in, width, out);
      }
    }
  }

  private void packAcross(FloatMatrix b, int in, int width, int out) {
    float[] source = b.data();
    for (int c = 0; c < width; c++) {
      int at = in + c * b.columnStride();
      int to = out + c;
      for (int k = 0; k < depth; k++, at += b.rowStride(), to += WIDTH) {
        data[to] = source[at];
      }
    }
  }

  /**
   * c[r, n] += sum over k of a[r, k] b[k, n] for rows {@code from} to {@code to - 1} and the first
   * {@code width} columns; those up to the next multiple of 32 may be added to as well.
   *
   * @param a [rows, k], k at most the depth; rows of b past its columns are left out
   * @param c [rows, columns], its column stride 1
   * @param edge scratch of {@link GemmKernel#TILE} x {@link GemmKernel#WIDTH} floats
   */
  void addProduct(FloatMatrix a, FloatMatrix c, int from, int to, int width, float[] edge) {
    for (int k = 0; k < a.columns(); k += DEPTH_BLOCK) {
      int some = Math.min(DEPTH_BLOCK, a.columns() - k);
      for (int n = 0; n < width; n += WIDTH) {
        int panel = n * depth + k * WIDTH;
        int left = a.offset() + k * a.columnStride();
        if (n + WIDTH <= columns) {
          whole(a, left, panel, some, c, n, from, to);
        } else {
          edge(a, left, panel, some, c, n, from, to, edge);
        }
      }
    }
  }

  private void whole(
      FloatMatrix a, int left, int panel, int some, FloatMatrix c, int n, int from, int to) {
    int r = from;
    int rowStride = a.rowStride();
    int stride = c.rowStride();
    for (; r + TILE <= to; r += TILE) {
      GemmKernel.eight(
          a.data(),
          left + r * rowStride,
          rowStride,
          a.columnStride(),
          data,
          panel,
          some,
          c.data(),
          c.offset() + r * stride + n,
          stride);
    }
    for (; r < to; r++) {
      GemmKernel.one(
          a.data(),
          left + r * rowStride,
          a.columnStride(),
          data,
          panel,
          some,
          c.data(),
          c.offset() + r * stride + n);
    }
  }

  private void edge(
      FloatMatrix a,
      int left,
      int panel,
      int some,
      FloatMatrix c,
      int n,
      int from,
      int to,
      float[] edge) {
    int width = columns - n;
    for (int r = from; r < to; r++) {
      int at = c.offset() + r * c.rowStride() + n;
      System.arraycopy(c.data(), at, edge, 0, width);
      GemmKernel.one(
          a.data(), left + r * a.rowStride(), a.columnStride(), data, panel, some, edge, 0);
      System.arraycopy(edge, 0, c.data(), at, width);
    }
  }
}
