package dev.nibble.runtime.cuda;

import dev.nibble.bindings.cuda.cuda_constants;

/**
 * A version of CUDA.
 *
 * @param major such as 13
 * @param minor such as 0
 */
public record CudaVersion(int major, int minor) implements Comparable<CudaVersion> {
  /** What a driver must support: the version of the bindings and of the kernel images. */
  public static final CudaVersion NEEDED = ofNumber(cuda_constants.CUDA_VERSION());

  /** The first release of the driver that supports {@link #NEEDED}. */
  public static final int NEEDED_RELEASE = 580;

  static CudaVersion ofNumber(int number) {
    return new CudaVersion(number / 1000, number % 1000 / 10);
  }

  @Override
  public int compareTo(CudaVersion other) {
    return major != other.major
        ? Integer.compare(major, other.major)
        : Integer.compare(minor, other.minor);
  }

  @Override
  public String toString() {
    return major + "." + minor;
  }
}
