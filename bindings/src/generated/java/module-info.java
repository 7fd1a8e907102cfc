/** Generated bindings of the CUDA driver and of the kernels' argument structs. */
module dev.nibble.bindings {}
