package dev.nibble.quantizer.tensor;

import java.util.Arrays;

/**
 * Products of float matrices in any of the shapes training needs: x w^T, dy w, dy^T x. Each element
 * is one chain of fused multiply-adds in ascending order of the inner index, so the number of
 * threads changes no bit. Needs the Vector API. One thread drives an instance.
 */
public final class FloatGemm {
  /** Rows of an item at most. */
  private static final int ROWS = 64;

  /** Items a thread should have, so that none waits for long. */
  private static final int ITEMS = 2;

  private final WorkerThreads workers;
  private final FloatPanels panels = new FloatPanels();
  private final FloatPanels.Scratch[] scratch;

  /**
   * Creates an instance.
   *
   * @param workers the threads that compute
   */
  public FloatGemm(WorkerThreads workers) {
    this.workers = workers;
    scratch = new FloatPanels.Scratch[workers.threads()];
    Arrays.setAll(scratch, i -> new FloatPanels.Scratch());
  }

  /**
   * c = a b.
   *
   * @param a [m, k]
   * @param b [k, n]
   * @param c [m, n], its columns adjacent; shares no memory with the others
   * @throws IllegalArgumentException if the shapes do not fit
   */
  public void multiply(FloatMatrix a, FloatMatrix b, FloatMatrix c) {
    check(a, b, c);
    workers.run(
        c.rows(),
        (from, to, worker) -> {
          for (int r = from; r < to; r++) {
            int at = c.offset() + r * c.rowStride();
            Arrays.fill(c.data(), at, at + c.columns(), 0f);
          }
        });
    add(a, b, c);
  }

  /**
   * c += a b.
   *
   * @param a [m, k]
   * @param b [k, n]
   * @param c [m, n], its columns adjacent; shares no memory with the others
   * @throws IllegalArgumentException if the shapes do not fit
   */
  public void add(FloatMatrix a, FloatMatrix b, FloatMatrix c) {
    check(a, b, c);
    workers.countProducts((long) c.rows() * c.columns() * a.columns());
    panels.reset(b.rows(), b.columns());
    workers.run(panels.panels(), (from, to, worker) -> panels.pack(b, from, to));
    int share = Math.ceilDiv(c.rows(), ITEMS * workers.threads());
    int rows = Math.min(ROWS, Math.ceilDiv(share, GemmKernel.TILE) * GemmKernel.TILE);
    workers.run(
        Math.ceilDiv(c.rows(), rows),
        (from, to, worker) -> {
          for (int item = from; item < to; item++) {
            int end = Math.min((item + 1) * rows, c.rows());
            panels.addProduct(a, c, item * rows, end, c.columns(), scratch[worker]);
          }
        });
  }

  private static void check(FloatMatrix a, FloatMatrix b, FloatMatrix c) {
    if (a.columns() != b.rows()
        || a.rows() != c.rows()
        || b.columns() != c.columns()
        || c.columnStride() != 1) {
      throw new IllegalArgumentException(
          "product of [%d, %d] and [%d, %d] into [%d, %d]"
              .formatted(a.rows(), a.columns(), b.rows(), b.columns(), c.rows(), c.columns()));
    }
  }
}
