package dev.nibble.runtime.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** A point in a stream's work. */
public final class Event extends DeviceResource {
  /** Whether an event keeps the time it was reached at. */
  public enum Timing {
    /** It does. */
    KEPT,
    /** It does not, and costs less. */
    NONE
  }

  private final MemorySegment handle;

  Event(Device device, MemorySegment handle) {
    super(device);
    this.handle = handle;
  }

  MemorySegment handle() {
    requireOpen();
    return handle;
  }

  /** Waits until it is reached. */
  public void synchronize() {
    device.check("cuEventSynchronize", driver().cuEventSynchronize(handle));
  }

  /**
   * The time between two events that were reached, both with {@link Timing#KEPT}.
   *
   * @param start the earlier
   * @return milliseconds from it to this one
   */
  public float millisecondsSince(Event start) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ValueLayout.JAVA_FLOAT);
      device.check("cuEventElapsedTime", driver().cuEventElapsedTime(out, start.handle(), handle));
      return out.get(ValueLayout.JAVA_FLOAT, 0);
    }
  }

  @Override
  int free(CudaDriver driver) {
    return driver.cuEventDestroy(handle);
  }

  @Override
  String freeFunction() {
    return "cuEventDestroy";
  }
}
