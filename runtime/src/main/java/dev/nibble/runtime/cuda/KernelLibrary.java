package dev.nibble.runtime.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** The kernels of one image, loaded on a device. */
public final class KernelLibrary extends DeviceResource {
  private final MemorySegment handle;

  /** Holds what launches are described in. */
  private final Arena arena = Arena.ofShared();

  KernelLibrary(Device device, MemorySegment handle) {
    super(device);
    this.handle = handle;
  }

  /**
   * Finds a kernel and loads its code at once, so that a launch never does, which a capture would
   * not allow.
   *
   * @param name its C name
   * @return the kernel, usable while this is open
   */
  public Kernel kernel(String name) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment text = arena.allocateFrom(name);
      CudaDriver driver = driver();
      MemorySegment kernel =
          device.create("cuLibraryGetKernel", (d, out) -> d.cuLibraryGetKernel(out, handle, text));
      MemorySegment function =
          device.create("cuKernelGetFunction", (d, out) -> d.cuKernelGetFunction(out, kernel));
      device.check("cuFuncLoad", driver.cuFuncLoad(function));
      return new Kernel(this, name, function);
    }
  }

  Arena arena() {
    requireOpen();
    return arena;
  }

  @Override
  int free(CudaDriver driver) {
    arena.close();
    return driver.cuLibraryUnload(handle);
  }

  @Override
  String freeFunction() {
    return "cuLibraryUnload";
  }
}
