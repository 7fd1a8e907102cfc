/** Generated bindings of the CUDA driver and of the kernels' argument structs. */
module dev.nibble.bindings {
  exports dev.nibble.bindings.cuda to
      dev.nibble.runtime;
  exports dev.nibble.bindings.kernels to
      dev.nibble.runtime;
}
