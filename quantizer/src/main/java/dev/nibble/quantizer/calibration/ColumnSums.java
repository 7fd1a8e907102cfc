package dev.nibble.quantizer.calibration;

import dev.nibble.quantizer.tensor.WorkerThreads;

/**
 * Sums over tokens, one a channel, in double: a fixed number of tokens at a time, and those sums in
 * their order, so that the number of threads changes no bit.
 */
final class ColumnSums {
  private static final int ROWS = 128;

  private final WorkerThreads workers;

  /** The value of a token and a channel. */
  @FunctionalInterface
  interface Rows {
    /** Adds the values of one row to sums. */
    void add(int row, double[] sums);
  }

  ColumnSums(WorkerThreads workers) {
    this.workers = workers;
  }

  /** Sums over rows. */
  float[] of(int rows, int width, Rows values) {
    double[][] parts = new double[Math.ceilDiv(rows, ROWS)][];
    workers.run(
        parts.length,
        (from, to, worker) -> {
          for (int part = from; part < to; part++) {
            double[] sums = new double[width];
            for (int row = part * ROWS; row < Math.min(rows, (part + 1) * ROWS); row++) {
              values.add(row, sums);
            }
            parts[part] = sums;
          }
        });
    float[] total = new float[width];
    for (int i = 0; i < width; i++) {
      double sum = 0;
      for (double[] part : parts) {
        sum += part[i];
      }
      total[i] = (float) sum;
    }
    return total;
  }

  /** Sums of a matrix's columns. */
  float[] of(float[] x, int rows, int width) {
    return of(
        rows,
        width,
        (row, sums) -> {
          for (int i = 0; i < width; i++) {
            sums[i] += x[row * width + i];
          }
        });
  }
}
