package dev.nibble.quantizer.tensor;

import java.util.Arrays;

/**
 * The right side of float products, in panels of {@link GemmKernel#WIDTH} columns: [panels][depth,
 * 32], the last one padded with zeros. Packed anew for each product; its memory is kept.
 */
final class FloatPanels {
  /** Rows of a panel that are multiplied before the next panel's: 16 KiB stay in the L1 cache. */
  private static final int DEPTH_BLOCK = 128;

  /** Rows of the left side that are multiplied at a time. */
  private static final int ROWS = 64;

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
   */
  void addProduct(FloatMatrix a, FloatMatrix c, int from, int to, int width, Scratch scratch) {
    for (int first = from; first < to; first += ROWS) {
      int end = Math.min(to, first + ROWS);
      for (int k = 0; k < a.columns(); k += DEPTH_BLOCK) {
        int some = Math.min(DEPTH_BLOCK, a.columns() - k);
        scratch.left(a, first, end, k, some);
        for (int n = 0; n < width; n += WIDTH) {
          int panel = n * depth + k * WIDTH;
          int result = c.offset() + first * c.rowStride() + n;
          if (n + WIDTH <= columns) {
            whole(scratch, panel, some, end - first, c, result);
          } else {
            edge(scratch, panel, some, end - first, c, result, columns - n);
          }
        }
      }
    }
  }

  private void whole(Scratch left, int panel, int some, int rows, FloatMatrix c, int to) {
    int r = 0;
    int stride = c.rowStride();
    for (; r + TILE <= rows; r += TILE) {
      GemmKernel.eight(
          left.data,
          left.offset + r * left.stride,
          left.stride,
          data,
          panel,
          some,
          c.data(),
          to + r * stride,
          stride);
    }
    for (; r < rows; r++) {
      int at = left.offset + r * left.stride;
      GemmKernel.one(left.data, at, data, panel, some, c.data(), to + r * stride);
    }
  }

  private void edge(Scratch left, int panel, int some, int rows, FloatMatrix c, int to, int width) {
    for (int r = 0; r < rows; r++) {
      int at = to + r * c.rowStride();
      System.arraycopy(c.data(), at, left.edge, 0, width);
      GemmKernel.one(left.data, left.offset + r * left.stride, data, panel, some, left.edge, 0);
      System.arraycopy(left.edge, 0, c.data(), at, width);
    }
  }

  /** What a thread needs for itself: a block of the left side, its rows adjacent floats. */
  static final class Scratch {
    /** So that the rows of a block do not fall upon each other in the cache. */
    private static final int STRIDE = DEPTH_BLOCK + 16;

    private final float[] edge = new float[WIDTH];
    private final float[] turned = new float[ROWS * STRIDE];
    private float[] data = turned;
    private int offset;
    private int stride;

    private void left(FloatMatrix a, int from, int to, int k, int some) {
      offset = a.offset() + from * a.rowStride() + k * a.columnStride();
      if (a.columnStride() == 1) {
        data = a.data();
        stride = a.rowStride();
      } else {
        turn(a, offset, to - from, some);
        data = turned;
        offset = 0;
        stride = STRIDE;
      }
    }

    private void turn(FloatMatrix a, int at, int rows, int some) {
      int step = a.columnStride();
      int k = 0;
      if (a.rowStride() == 1) {
        for (; k + 4 <= some; k += 4) {
          turnFour(a.data(), at + k * step, step, rows, k);
        }
      }
      for (; k < some; k++) {
        for (int r = 0; r < rows; r++) {
          turned[r * STRIDE + k] = a.data()[at + k * step + r * a.rowStride()];
        }
      }
    }

    /** Four columns whose elements are adjacent: C2 checks no index in the loop. */
    private void turnFour(float[] source, int at, int step, int rows, int k) {
      int second = at + step;
      int third = second + step;
      int fourth = third + step;
      for (int r = 0; r < rows; r++) {
        int to = r * STRIDE + k;
        turned[to] = source[at + r];
        turned[to + 1] = source[second + r];
        turned[to + 2] = source[third + r];
        turned[to + 3] = source[fourth + r];
      }
    }
  }
}
