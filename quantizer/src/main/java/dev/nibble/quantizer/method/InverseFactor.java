package dev.nibble.quantizer.method;

import dev.nibble.quantizer.tensor.WorkerThreads;

/**
 * The upper triangular U with H^-1 = U^T U, in double. H is factored from its last column as R R^T,
 * R upper triangular, and U is the inverse of R; so H is never inverted itself. Blocks of columns
 * keep the work in the cache; the order of every sum is fixed.
 */
final class InverseFactor {
  private static final int BLOCK = 64;

  private InverseFactor() {}

  /**
   * Computes U.
   *
   * @param h [n, n], symmetric and positive definite; the upper half is read, and overwritten by R
   * @param n rows
   * @param workers the threads that compute; they change no bit
   * @return U [n, n], zeros below the diagonal
   * @throws ArithmeticException if h is not positive definite
   */
  static double[] of(double[] h, int n, WorkerThreads workers) {
    for (int end = n; end > 0; end -= BLOCK) {
      int first = Math.max(0, end - BLOCK);
      factor(h, n, first, end);
      int columns = first;
      int last = end;
      workers.run(columns, (from, to, worker) -> solve(h, n, from, to, first, last));
      double[] turned = turn(h, n, columns, first, last);
      workers.run(
          columns, (from, to, worker) -> subtract(h, n, from, to, columns, turned, first, last));
    }
    double[] inverse = new double[h.length];
    workers.run(
        Math.ceilDiv(n, BLOCK),
        (from, to, worker) -> {
          for (int block = from; block < to; block++) {
            invert(h, inverse, n, block * BLOCK, Math.min(n, (block + 1) * BLOCK));
          }
        });
    return inverse;
  }

  /** R of the diagonal block [first, end). */
  private static void factor(double[] h, int n, int first, int end) {
    for (int j = end - 1; j >= first; j--) {
      double pivot = h[j * n + j];
      for (int k = j + 1; k < end; k++) {
        pivot -= h[j * n + k] * h[j * n + k];
      }
      if (!(pivot > 0) || pivot == Double.POSITIVE_INFINITY) {
        throw new ArithmeticException(
            "the products of the inputs are not positive definite at channel " + j);
      }
      h[j * n + j] = Math.sqrt(pivot);
      solveColumn(h, n, first, j, j, end);
    }
  }

  /** R of the rows above a diagonal block, in its columns. */
  private static void solve(double[] h, int n, int from, int to, int first, int end) {
    for (int j = end - 1; j >= first; j--) {
      solveColumn(h, n, from, to, j, end);
    }
  }

  private static void solveColumn(double[] h, int n, int from, int to, int j, int end) {
    double pivot = h[j * n + j];
    for (int i = from; i < to; i++) {
      double sum = h[i * n + j];
      for (int k = j + 1; k < end; k++) {
        sum -= h[i * n + k] * h[j * n + k];
      }
      h[i * n + j] = sum / pivot;
    }
  }

  /** The block R[0..rows, first..end) with rows and columns exchanged, so that rows are long. */
  private static double[] turn(double[] h, int n, int rows, int first, int end) {
    double[] turned = new double[(end - first) * rows];
    for (int i = 0; i < rows; i++) {
      for (int k = first; k < end; k++) {
        turned[(k - first) * rows + i] = h[i * n + k];
      }
    }
    return turned;
  }

  /** Takes a finished block's share from the columns to its left, on and above the diagonal. */
  private static void subtract(
      double[] h, int n, int from, int to, int columns, double[] turned, int first, int end) {
    for (int i = from; i < to; i++) {
      for (int k = first; k < end; k++) {
        double r = h[i * n + k];
        int at = (k - first) * columns;
        int row = i * n;
        for (int j = i; j < columns; j++) {
          h[row + j] -= r * turned[at + j];
        }
      }
    }
  }

  /** Columns [first, end) of the inverse of R. */
  private static void invert(double[] r, double[] inverse, int n, int first, int end) {
    int width = end - first;
    double[] sums = new double[width];
    for (int i = end - 1; i >= 0; i--) {
      for (int j = 0; j < width; j++) {
        sums[j] = first + j == i ? 1 : 0;
      }
      for (int k = i + 1; k < end; k++) {
        double factor = r[i * n + k];
        int at = k * n + first;
        for (int j = 0; j < width; j++) {
          sums[j] -= factor * inverse[at + j];
        }
      }
      for (int j = 0; j < width; j++) {
        inverse[i * n + first + j] = sums[j] / r[i * n + i];
      }
    }
  }
}
