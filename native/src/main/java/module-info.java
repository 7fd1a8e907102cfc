/** Kernel sources, and the images built from them. */
module dev.nibble.kernels {
  requires static transitive org.jspecify;

  exports dev.nibble.kernels;
}
