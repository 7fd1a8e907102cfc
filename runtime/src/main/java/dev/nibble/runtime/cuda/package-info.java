/**
 * The CUDA driver from Java, usable without the rest. Entry classes: {@link
 * dev.nibble.runtime.cuda.CudaDevices} sees what is there, {@link dev.nibble.runtime.cuda.Device}
 * owns streams, memory, kernels and graphs. The only package that calls the driver's bindings.
 */
@NullMarked
package dev.nibble.runtime.cuda;

import org.jspecify.annotations.NullMarked;
