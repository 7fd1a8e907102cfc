package dev.nibble.runtime.cuda;

/** Something a device holds for us: freed once, by its own close or by the device's. */
abstract sealed class DeviceResource implements AutoCloseable
    permits DeviceBuffer, Event, Graph, KernelLibrary, PinnedBuffer, Stream {
  final Device device;
  private volatile boolean closed;

  DeviceResource(Device device) {
    this.device = device;
  }

  /** Frees it; called once, and not at all when the device was lost. */
  abstract int free(CudaDriver driver);

  /** The driver function that {@link #free} calls. */
  abstract String freeFunction();

  /**
   * The driver, for a call on this.
   *
   * @throws IllegalStateException if this or the device is closed
   * @throws CudaException if the device was lost
   */
  final CudaDriver driver() {
    requireOpen();
    return device.driver();
  }

  final void requireOpen() {
    if (closed) {
      throw new IllegalStateException(getClass().getSimpleName() + " is closed");
    }
  }

  final void markClosed() {
    closed = true;
  }

  /** Frees it; closing twice does nothing. What was enqueued with it must have finished. */
  @Override
  public final void close() {
    device.close(this);
  }
}
