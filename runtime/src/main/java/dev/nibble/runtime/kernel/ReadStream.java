package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.read_stream_args;
import dev.nibble.bindings.kernels.read_stream_h;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Dim3;
import dev.nibble.runtime.cuda.Kernel;
import dev.nibble.runtime.cuda.LaunchConfig;
import dev.nibble.runtime.cuda.Stream;
import java.lang.foreign.MemorySegment;

/** Launches read_stream: a plain read of memory, the ceiling of every kernel that reads. */
public final class ReadStream {
  /** Its image, and its C name. */
  public static final String IMAGE = "read_stream";

  private final Kernel kernel;
  private final MemorySegment args;

  /**
   * Loads the kernel.
   *
   * @param kernels of the device
   */
  public ReadStream(KernelCatalog kernels) {
    kernel = kernels.kernel(IMAGE, IMAGE);
    args = kernel.newArguments(read_stream_args.sizeof());
  }

  /**
   * Enqueues a read. Asynchronous with respect to the host.
   *
   * @param stream runs it
   * @param data whose start and size are multiples of 16 bytes; empty for a kernel that does
   *     nothing
   * @param blocks thread blocks that share it
   * @param sums receives the xor of the 32-bit words that each block read
   */
  public void launch(Stream stream, DeviceRange data, int blocks, DeviceRange sums) {
    if (data.bytes() % read_stream_h.READ_STREAM_BYTES() != 0
        || data.offset() % read_stream_h.READ_STREAM_BYTES() != 0) {
      throw new IllegalArgumentException(
          "a read of " + data.bytes() + " bytes from byte " + data.offset());
    }
    StructPointers.set(args, read_stream_args.data$offset(), data.address());
    read_stream_args.bytes(args, data.bytes());
    StructPointers.set(
        args,
        read_stream_args.sums$offset(),
        sums.require("sums", Math.multiplyExact((long) Integer.BYTES, blocks)));
    kernel.launch(
        stream,
        LaunchConfig.of(Dim3.of(blocks), Dim3.of(read_stream_h.READ_STREAM_THREADS())),
        args);
  }
}
