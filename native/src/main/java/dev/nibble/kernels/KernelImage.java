package dev.nibble.kernels;

/**
 * Names a kernel image.
 *
 * @param architecture what it was compiled for: {@code sm_80} (runs on 8.0 and, within the same
 *     major version, newer), {@code sm_90a} (on 9.0 alone) or {@code compute_80} (PTX, compiled by
 *     the driver for 8.0 and newer)
 * @param name its source's name without the ending
 */
public record KernelImage(String architecture, String name) {
  @Override
  public String toString() {
    return architecture + "/" + name;
  }
}
