package dev.nibble.runtime.cuda;

/**
 * How a kernel is launched.
 *
 * @param grid blocks
 * @param block threads of a block
 * @param sharedBytes dynamic shared memory of a block; more than 48 KiB needs {@link
 *     Kernel#allowSharedBytes} first
 * @param start when it may start
 * @param cluster blocks that run together and reach each other's shared memory (compute capability
 *     9.0 and newer); a single block for none
 * @param sharedPercent as of {@link Kernel#preferSharedMemory}, for this launch alone; {@link
 *     #KERNELS_OWN} for what the kernel has
 */
public record LaunchConfig(
    Dim3 grid, Dim3 block, int sharedBytes, Start start, Dim3 cluster, int sharedPercent) {
  /** A launch that has no wish of its own for shared memory. */
  public static final int KERNELS_OWN = -1;

  private static final Dim3 ALONE = Dim3.of(1);

  /** When a kernel may start. */
  public enum Start {
    /** When the work before it is done. */
    AFTER_PREVIOUS,
    /**
     * When the kernel before it lets it; it then waits by itself for that kernel's results
     * (programmatic dependent launch, compute capability 9.0 and newer).
     */
    WHEN_PREVIOUS_ALLOWS
  }

  /** Checks the sizes. */
  public LaunchConfig {
    if (sharedBytes < 0) {
      throw new IllegalArgumentException(sharedBytes + " bytes of shared memory");
    }
    if (grid.x() % cluster.x() != 0 || grid.y() % cluster.y() != 0 || grid.z() % cluster.z() != 0) {
      throw new IllegalArgumentException(grid + " in clusters of " + cluster);
    }
    if (sharedPercent < KERNELS_OWN || sharedPercent > 100) {
      throw new IllegalArgumentException(sharedPercent + " percent of shared memory");
    }
  }

  /**
   * A launch that splits a multiprocessor's memory as the kernel does.
   *
   * @param grid blocks
   * @param block threads of a block
   * @param sharedBytes dynamic shared memory of a block
   * @param start when it may start
   * @param cluster blocks that run together
   */
  public LaunchConfig(Dim3 grid, Dim3 block, int sharedBytes, Start start, Dim3 cluster) {
    this(grid, block, sharedBytes, start, cluster, KERNELS_OWN);
  }

  /**
   * A launch without clusters.
   *
   * @param grid blocks
   * @param block threads of a block
   * @param sharedBytes dynamic shared memory of a block
   * @param start when it may start
   */
  public LaunchConfig(Dim3 grid, Dim3 block, int sharedBytes, Start start) {
    this(grid, block, sharedBytes, start, ALONE);
  }

  /**
   * A launch without dynamic shared memory, after the work before it.
   *
   * @param grid blocks
   * @param block threads of a block
   * @return the configuration
   */
  public static LaunchConfig of(Dim3 grid, Dim3 block) {
    return new LaunchConfig(grid, block, 0, Start.AFTER_PREVIOUS);
  }

  boolean clustered() {
    return !cluster.equals(ALONE);
  }
}
