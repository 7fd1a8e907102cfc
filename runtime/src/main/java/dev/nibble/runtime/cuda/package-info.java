/**
 * The CUDA driver from Java, usable without the rest. Entry classes: {@link
 * dev.nibble.runtime.cuda.CudaDevices} sees what is there, {@link dev.nibble.runtime.cuda.Device}
 * owns streams, memory, kernels and graphs. The only package that calls the driver's bindings.
 *
 * <p>A kernel takes one struct, whose bytes {@link dev.nibble.runtime.cuda.Kernel#newArguments}
 * gives room for:
 *
 * {@snippet :
 * try (Device device = Device.open(0)) {
 *   Stream stream = device.newStream();
 *   Kernel kernel = device.load(image).kernel("twice");
 *   DeviceBuffer memory = device.allocate(4096);
 *   MemorySegment arguments = kernel.newArguments(8);
 *   arguments.set(ValueLayout.JAVA_LONG, 0, memory.address());
 *   kernel.launch(stream, LaunchConfig.of(Dim3.of(4), Dim3.of(256)), arguments);
 *   stream.synchronize();
 * }
 * }
 *
 * <p>What a {@link dev.nibble.runtime.cuda.Device} made is closed with it, or before it, newest
 * first. Every failed call throws {@link dev.nibble.runtime.cuda.CudaException}; after one that
 * loses the device nothing but closing is left. {@link dev.nibble.runtime.cuda.DeviceMonitor} and
 * {@link dev.nibble.runtime.cuda.CublasLt} use libraries that may be absent, and say so.
 */
@NullMarked
package dev.nibble.runtime.cuda;

import org.jspecify.annotations.NullMarked;
