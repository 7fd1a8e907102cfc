/** Generated bindings of the CUDA driver, of NVML and cuBLASLt, and of the kernels' argument structs. */
module dev.nibble.bindings {
  exports dev.nibble.bindings.cuda to
      dev.nibble.runtime;
  exports dev.nibble.bindings.cublaslt to
      dev.nibble.runtime;
  exports dev.nibble.bindings.nvml to
      dev.nibble.runtime;
  exports dev.nibble.bindings.kernels to
      dev.nibble.runtime;
}
