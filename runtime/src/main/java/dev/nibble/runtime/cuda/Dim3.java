package dev.nibble.runtime.cuda;

/**
 * A grid's blocks or a block's threads.
 *
 * @param x at least 1
 * @param y at least 1
 * @param z at least 1
 */
public record Dim3(int x, int y, int z) {
  /** Checks that all are positive. */
  public Dim3 {
    if (x < 1 || y < 1 || z < 1) {
      throw new IllegalArgumentException(
          "dimensions (" + x + ", " + y + ", " + z + "): expected 1 or more");
    }
  }

  /**
   * A row of them.
   *
   * @param x at least 1
   * @return (x, 1, 1)
   */
  public static Dim3 of(int x) {
    return new Dim3(x, 1, 1);
  }
}
