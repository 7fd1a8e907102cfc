/** Kernel sources, and the images built from them. */
module dev.nibble.kernels {
  requires static transitive org.jspecify;
  requires static org.tukaani.xz;

  exports dev.nibble.kernels;
}
