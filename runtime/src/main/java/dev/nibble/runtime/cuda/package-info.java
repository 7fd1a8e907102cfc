/**
 * The CUDA driver from Java, usable without the rest. Entry class: {@link
 * dev.nibble.runtime.cuda.CudaDevices}. The only package that calls the driver's bindings.
 */
@NullMarked
package dev.nibble.runtime.cuda;

import org.jspecify.annotations.NullMarked;
