package dev.nibble.runtime.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Page-locked host memory: what is copied to and from a device goes through it, and kernels can
 * write to it.
 */
public final class PinnedBuffer extends DeviceResource {
  private final MemorySegment pointer;
  private final Arena lifetime = Arena.ofShared();
  private final MemorySegment segment;

  @SuppressWarnings("restricted")
  PinnedBuffer(Device device, MemorySegment pointer, long bytes) {
    super(device);
    this.pointer = pointer;
    this.segment = pointer.reinterpret(bytes, lifetime, null);
  }

  /**
   * The memory.
   *
   * @return all of it, for any thread; access throws once the buffer is closed
   */
  public MemorySegment segment() {
    requireOpen();
    return segment;
  }

  /**
   * Its first byte as kernels see it, for their arguments: with the unified addressing of all
   * 64-bit systems the host's address.
   *
   * @return a device address
   */
  public long deviceAddress() {
    requireOpen();
    return pointer.address();
  }

  @Override
  int free(CudaDriver driver) {
    lifetime.close();
    return driver.cuMemFreeHost(pointer);
  }

  @Override
  String freeFunction() {
    return "cuMemFreeHost";
  }
}
