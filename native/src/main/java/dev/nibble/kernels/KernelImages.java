package dev.nibble.kernels;

/** Opens kernel images by name and architecture. */
public final class KernelImages {
  private KernelImages() {}
}
