package dev.nibble.runtime.cuda;

import dev.nibble.bindings.cuda.cuda_constants;
import java.lang.foreign.MemorySegment;

/** A queue of work on a device, done in order. Driven by one thread at a time. */
public final class Stream extends DeviceResource {
  private final MemorySegment handle;

  Stream(Device device, MemorySegment handle) {
    super(device);
    this.handle = handle;
  }

  MemorySegment handle() {
    requireOpen();
    return handle;
  }

  /** Waits until all its work is done; errors of that work appear here. */
  public void synchronize() {
    device.check("cuStreamSynchronize", driver().cuStreamSynchronize(handle));
  }

  /**
   * Enqueues an event, which is reached when the work before it is done.
   *
   * @param event of the same device
   */
  public void record(Event event) {
    device.check("cuEventRecord", driver().cuEventRecord(event.handle(), handle));
  }

  /**
   * Holds the work enqueued after this back until an event is reached. Asynchronous with respect to
   * the host.
   *
   * @param event recorded before
   */
  public void waitFor(Event event) {
    device.check("cuStreamWaitEvent", driver().cuStreamWaitEvent(handle, event.handle(), 0));
  }

  /**
   * Records what is enqueued on this stream, instead of running it. Nothing may be allocated,
   * loaded or waited for meanwhile.
   *
   * @param work enqueues on this stream, on the calling thread
   * @return the work, to be launched as often as wanted
   */
  public Graph capture(Runnable work) {
    device.check(
        "cuStreamBeginCapture",
        driver()
            .cuStreamBeginCapture(handle, cuda_constants.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL()));
    try {
      work.run();
    } catch (RuntimeException | Error e) {
      abandonCapture(e);
      throw e;
    }
    MemorySegment recorded = endCapture();
    Graph graph;
    try {
      graph =
          device.own(() ->
              new Graph(
                  device,
                  device.create(
                      "cuGraphInstantiateWithFlags",
                      (driver, out) -> driver.cuGraphInstantiateWithFlags(out, recorded, 0))));
    } catch (CudaException e) {
      device.attempt(e, "cuGraphDestroy", () -> driver().cuGraphDestroy(recorded));
      throw e;
    }
    device.check("cuGraphDestroy", driver().cuGraphDestroy(recorded));
    return graph;
  }

  private MemorySegment endCapture() {
    return device.create(
        "cuStreamEndCapture", (driver, out) -> driver.cuStreamEndCapture(handle, out));
  }

  /** Takes the stream out of capture without hiding why. */
  private void abandonCapture(Throwable cause) {
    try {
      MemorySegment recorded = endCapture();
      device.check("cuGraphDestroy", driver().cuGraphDestroy(recorded));
    } catch (CudaException e) {
      cause.addSuppressed(e);
    }
  }

  @Override
  int free(CudaDriver driver) {
    return driver.cuStreamDestroy(handle);
  }

  @Override
  String freeFunction() {
    return "cuStreamDestroy";
  }
}
