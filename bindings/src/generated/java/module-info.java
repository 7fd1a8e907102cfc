/** Generated bindings of the CUDA driver. */
module dev.nibble.bindings {
  exports dev.nibble.bindings.cuda to
      dev.nibble.runtime;
}
