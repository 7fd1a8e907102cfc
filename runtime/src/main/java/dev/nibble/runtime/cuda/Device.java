package dev.nibble.runtime.cuda;

import dev.nibble.bindings.cuda.cuda_constants;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashSet;
import java.util.Optional;
import java.util.function.IntSupplier;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A GPU and its primary context. Owns the streams, events, memory, kernels and graphs made of it,
 * and closes what is still open when it is closed.
 *
 * <p>Opening makes its context current on the calling thread; another thread calls {@link
 * #makeCurrent} before it uses the device or what was made of it. Creating and closing are
 * thread-safe; one stream is driven by one thread at a time.
 *
 * <p>After an error that {@linkplain CudaException#isSticky loses the device} the driver is not
 * called again: every use throws the same error, and closing frees nothing, as the driver frees all
 * when the process ends.
 */
public final class Device implements AutoCloseable {
  private final CudaDriver driver;
  private final DeviceProperties properties;
  private final int handle;
  private final MemorySegment context;
  private final LinkedHashSet<DeviceResource> resources = new LinkedHashSet<>();
  private volatile @Nullable CudaException loss;
  private volatile boolean closed;

  private Device(
      CudaDriver driver, DeviceProperties properties, int handle, MemorySegment context) {
    this.driver = driver;
    this.properties = properties;
    this.handle = handle;
    this.context = context;
  }

  /**
   * Opens a device.
   *
   * @param ordinal its number, as the driver counts
   * @return the device, current on this thread
   * @throws CudaUnavailableException if there is no driver or it has no device
   * @throws IllegalArgumentException if there are not so many devices
   * @throws CudaException if the driver refuses
   */
  public static Device open(int ordinal) {
    return open(NativeDriver.find(), ordinal);
  }

  static Device open(Optional<CudaDriver> found, int ordinal) {
    CudaStatus status = CudaDevices.probe(found);
    if (!(status instanceof CudaStatus.Ready ready)) {
      throw new CudaUnavailableException(status);
    }
    if (ordinal < 0 || ordinal >= ready.devices().size()) {
      throw new IllegalArgumentException(
          "CUDA device " + ordinal + ": this machine has " + ready.devices().size());
    }
    CudaDriver driver = found.orElseThrow();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
      Cuda.check(driver, "cuDeviceGet", driver.cuDeviceGet(out, ordinal));
      int handle = out.get(ValueLayout.JAVA_INT, 0);
      Cuda.check(driver, "cuDevicePrimaryCtxRetain", driver.cuDevicePrimaryCtxRetain(out, handle));
      Device device =
          new Device(driver, ready.devices().get(ordinal), handle, out.get(ValueLayout.ADDRESS, 0));
      try {
        device.makeCurrent();
        return device;
      } catch (CudaException e) {
        device.attempt(
            e, "cuDevicePrimaryCtxRelease", () -> driver.cuDevicePrimaryCtxRelease(handle));
        throw e;
      }
    }
  }

  /**
   * What the device is.
   *
   * @return its properties
   */
  public DeviceProperties properties() {
    return properties;
  }

  /** Makes the device's context current on the calling thread. */
  public void makeCurrent() {
    check("cuCtxSetCurrent", driver().cuCtxSetCurrent(context));
  }

  /** Waits for everything enqueued on the device. */
  public void synchronize() {
    check("cuCtxSynchronize", driver().cuCtxSynchronize());
  }

  /**
   * Asks how much memory is free.
   *
   * @return free and total
   */
  public DeviceMemory memory() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment free = arena.allocate(ValueLayout.JAVA_LONG);
      MemorySegment total = arena.allocate(ValueLayout.JAVA_LONG);
      check("cuMemGetInfo", driver().cuMemGetInfo(free, total));
      return new DeviceMemory(
          free.get(ValueLayout.JAVA_LONG, 0), total.get(ValueLayout.JAVA_LONG, 0));
    }
  }

  /**
   * Creates a stream that does not wait for the default stream.
   *
   * @return the stream
   */
  public Stream newStream() {
    int flags = cuda_constants.CU_STREAM_NON_BLOCKING();
    return own(() ->
        new Stream(
            this, create("cuStreamCreate", (driver, out) -> driver.cuStreamCreate(out, flags))));
  }

  /**
   * Creates an event.
   *
   * @param timing whether it keeps the time it was reached at
   * @return the event
   */
  public Event newEvent(Event.Timing timing) {
    int flags =
        switch (timing) {
          case KEPT -> cuda_constants.CU_EVENT_DEFAULT();
          case NONE -> cuda_constants.CU_EVENT_DISABLE_TIMING();
        };
    return own(() ->
        new Event(
            this, create("cuEventCreate", (driver, out) -> driver.cuEventCreate(out, flags))));
  }

  /**
   * Allocates device memory. Its contents are undefined.
   *
   * @param bytes at least 1
   * @return the memory, aligned to 256 bytes
   */
  public DeviceBuffer allocate(long bytes) {
    requirePositive(bytes);
    return own(() ->
        new DeviceBuffer(
            this,
            create("cuMemAlloc", (driver, out) -> driver.cuMemAlloc(out, bytes)).address(),
            bytes));
  }

  /**
   * Allocates page-locked host memory, from which and to which copies are asynchronous and run at
   * full speed.
   *
   * @param bytes at least 1
   * @return the memory
   */
  public PinnedBuffer allocatePinned(long bytes) {
    requirePositive(bytes);
    int flags = cuda_constants.CU_MEMHOSTALLOC_PORTABLE();
    return own(() ->
        new PinnedBuffer(
            this,
            create("cuMemHostAlloc", (driver, out) -> driver.cuMemHostAlloc(out, bytes, flags)),
            bytes));
  }

  /**
   * Loads kernels.
   *
   * @param image a cubin or fatbin that runs here, or PTX
   * @return the kernels
   */
  public KernelLibrary load(byte[] image) {
    try (Arena arena = Arena.ofConfined()) {
      // PTX is text that a zero ends; one more byte does a binary no harm.
      MemorySegment copy = arena.allocate(Math.addExact(image.length, 1L), Long.BYTES);
      MemorySegment.copy(image, 0, copy, ValueLayout.JAVA_BYTE, 0, image.length);
      return own(() ->
          new KernelLibrary(
              this,
              create("cuLibraryLoadData", (driver, out) -> driver.cuLibraryLoadData(out, copy))));
    }
  }

  /**
   * Waits for what is enqueued, closes what is still open of the device, newest first, and then the
   * device; closing twice does nothing.
   */
  @Override
  public void close() {
    CudaException failure;
    synchronized (resources) {
      if (closed) {
        return;
      }
      closed = true;
      failure = attempt(null, "cuCtxSetCurrent", () -> driver.cuCtxSetCurrent(context));
      failure = attempt(failure, "cuCtxSynchronize", driver::cuCtxSynchronize);
      for (DeviceResource resource : resources.reversed()) {
        failure = free(resource, failure);
      }
      resources.clear();
      failure =
          attempt(
              failure, "cuDevicePrimaryCtxRelease", () -> driver.cuDevicePrimaryCtxRelease(handle));
    }
    if (failure != null) {
      throw failure;
    }
  }

  /** Closes one resource. */
  void close(DeviceResource resource) {
    CudaException failure = null;
    synchronized (resources) {
      if (resources.remove(resource)) {
        failure = free(resource, null);
      }
    }
    if (failure != null) {
      throw failure;
    }
  }

  private @Nullable CudaException free(DeviceResource resource, @Nullable CudaException earlier) {
    resource.markClosed();
    return attempt(earlier, resource.freeFunction(), () -> resource.free(driver));
  }

  /**
   * Makes a call that must not hide an earlier failure; none if the device is lost.
   *
   * @return the failure to throw in the end
   */
  @Nullable CudaException attempt(
      @Nullable CudaException earlier, String function, IntSupplier call) {
    if (loss != null) {
      return earlier;
    }
    try {
      check(function, call.getAsInt());
      return earlier;
    } catch (CudaException e) {
      if (earlier == null) {
        return e;
      }
      earlier.addSuppressed(e);
      return earlier;
    }
  }

  /** Makes a resource and keeps it until it is closed. */
  <T extends DeviceResource> T own(Supplier<T> maker) {
    synchronized (resources) {
      T resource = maker.get();
      resources.add(resource);
      return resource;
    }
  }

  /** Calls a function whose first parameter receives a handle. */
  MemorySegment create(String function, Creation creation) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
      check(function, creation.create(driver(), out));
      return out.get(ValueLayout.ADDRESS, 0);
    }
  }

  /**
   * The driver, for a call on this device.
   *
   * @throws IllegalStateException if it is closed
   * @throws CudaException if it is lost
   */
  CudaDriver driver() {
    CudaException lost = loss;
    if (lost != null) {
      throw new CudaException(lost);
    }
    if (closed) {
      throw new IllegalStateException("CUDA device " + properties.ordinal() + " is closed");
    }
    return driver;
  }

  /** Checks a result, and remembers one that loses the device. */
  void check(String function, int code) {
    if (code != cuda_constants.CUDA_SUCCESS()) {
      CudaException failure = Cuda.failure(driver, function, code);
      if (failure.isSticky()) {
        loss = failure;
      }
      throw failure;
    }
  }

  private static void requirePositive(long bytes) {
    if (bytes < 1) {
      throw new IllegalArgumentException(bytes + " bytes: expected 1 or more");
    }
  }

  /** A driver function that makes something. */
  @FunctionalInterface
  interface Creation {
    int create(CudaDriver driver, MemorySegment out);
  }
}
