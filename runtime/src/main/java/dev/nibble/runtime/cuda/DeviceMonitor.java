package dev.nibble.runtime.cuda;

import dev.nibble.bindings.nvml.nvmlMemory_t;
import dev.nibble.bindings.nvml.nvml_constants;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;

/**
 * Watches a device through NVML, a library that comes with the driver and may all the same be
 * absent. It makes no context on the device. Used by one thread at a time.
 */
public final class DeviceMonitor implements AutoCloseable {
  private final Nvml nvml;
  private final MemorySegment device;
  private final String driver;
  private boolean closed;

  private DeviceMonitor(Nvml nvml, MemorySegment device, String driver) {
    this.nvml = nvml;
    this.device = device;
    this.driver = driver;
  }

  /**
   * Starts watching a device.
   *
   * @param device which
   * @return its monitor, empty if NVML is not installed
   * @throws NvmlException if NVML does not start or does not know the device
   */
  public static Optional<DeviceMonitor> open(DeviceProperties device) {
    return NativeNvml.find().map(nvml -> open(nvml, device.uuid()));
  }

  static DeviceMonitor open(Nvml nvml, String uuid) {
    check(nvml, "nvmlInit", nvml.nvmlInit());
    try (Arena arena = Arena.ofConfined()) {
      int room = nvml_constants.NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE();
      MemorySegment version = arena.allocate(room);
      check(nvml, "nvmlSystemGetDriverVersion", nvml.nvmlSystemGetDriverVersion(version, room));
      MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
      check(
          nvml,
          "nvmlDeviceGetHandleByUUID",
          nvml.nvmlDeviceGetHandleByUUID(arena.allocateFrom(uuid), out));
      return new DeviceMonitor(nvml, out.get(ValueLayout.ADDRESS, 0), version.getString(0));
    } catch (NvmlException e) {
      int code = nvml.nvmlShutdown();
      if (code != nvml_constants.NVML_SUCCESS()) {
        e.addSuppressed(new NvmlException("nvmlShutdown", code, nvml.errorText(code)));
      }
      throw e;
    }
  }

  /**
   * Looks at the device.
   *
   * @return how it is doing
   * @throws NvmlException if NVML does not say
   */
  public DeviceReading read() {
    if (closed) {
      throw new IllegalStateException("the monitor is closed");
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment number = arena.allocate(ValueLayout.JAVA_INT);
      int multiprocessors = clock(nvml_constants.NVML_CLOCK_SM(), number);
      int memory = clock(nvml_constants.NVML_CLOCK_MEM(), number);
      check(
          nvml,
          "nvmlDeviceGetTemperature",
          nvml.nvmlDeviceGetTemperature(device, nvml_constants.NVML_TEMPERATURE_GPU(), number));
      int celsius = number.get(ValueLayout.JAVA_INT, 0);
      MemorySegment bytes = nvmlMemory_t.allocate(arena);
      check(nvml, "nvmlDeviceGetMemoryInfo", nvml.nvmlDeviceGetMemoryInfo(device, bytes));
      return new DeviceReading(
          driver,
          multiprocessors,
          memory,
          celsius,
          nvmlMemory_t.used(bytes),
          nvmlMemory_t.total(bytes));
    }
  }

  private int clock(int clock, MemorySegment out) {
    check(nvml, "nvmlDeviceGetClockInfo", nvml.nvmlDeviceGetClockInfo(device, clock, out));
    return out.get(ValueLayout.JAVA_INT, 0);
  }

  private static void check(Nvml nvml, String function, int code) {
    if (code != nvml_constants.NVML_SUCCESS()) {
      throw new NvmlException(function, code, nvml.errorText(code));
    }
  }

  /** Stops watching; closing twice does nothing. */
  @Override
  public void close() {
    if (!closed) {
      closed = true;
      check(nvml, "nvmlShutdown", nvml.nvmlShutdown());
    }
  }
}
