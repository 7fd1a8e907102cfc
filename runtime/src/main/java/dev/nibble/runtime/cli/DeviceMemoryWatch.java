package dev.nibble.runtime.cli;

import dev.nibble.runtime.cuda.CudaDevices;
import dev.nibble.runtime.cuda.CudaStatus;
import dev.nibble.runtime.cuda.DeviceMonitor;
import dev.nibble.runtime.cuda.DeviceReading;
import dev.nibble.runtime.cuda.NvmlException;
import dev.nibble.runtime.model.Device;
import java.util.Optional;
import java.util.OptionalLong;

/** The most memory of a GPU that has come into use since the watch began, as NVML tells it. */
final class DeviceMemoryWatch implements AutoCloseable {
  private final Optional<DeviceMonitor> monitor;
  private final long before;
  private Optional<DeviceReading> last = Optional.empty();
  private long most;

  private DeviceMemoryWatch(Optional<DeviceMonitor> monitor) {
    this.monitor = monitor;
    before = monitor.map(m -> m.read().usedBytes()).orElse(0L);
    most = before;
  }

  /** Begins a watch of the GPU that a device means; of nothing where there is none or no NVML. */
  static DeviceMemoryWatch of(Device device) {
    int ordinal =
        switch (device) {
          case Device.Cpu _ -> -1;
          case Device.Auto _ -> 0;
          case Device.Cuda cuda -> cuda.index();
        };
    try {
      return new DeviceMemoryWatch(
          ordinal >= 0
                  && CudaDevices.probe() instanceof CudaStatus.Ready ready
                  && ordinal < ready.devices().size()
              ? DeviceMonitor.open(ready.devices().get(ordinal))
              : Optional.empty());
    } catch (NvmlException e) {
      return new DeviceMemoryWatch(Optional.empty());
    }
  }

  /** Looks how much is in use now, and how the device is doing. */
  void look() {
    last = monitor.map(DeviceMonitor::read);
    last.ifPresent(reading -> most = Math.max(most, reading.usedBytes()));
  }

  /** What the last look saw, empty if nothing is watched or the engine runs elsewhere after all. */
  Optional<DeviceReading> last(String engineDevice) {
    return engineDevice.startsWith("cuda") ? last : Optional.empty();
  }

  /** Bytes, empty if nothing is watched or the engine runs elsewhere after all. */
  OptionalLong most(String engineDevice) {
    return monitor.isPresent() && engineDevice.startsWith("cuda")
        ? OptionalLong.of(most - before)
        : OptionalLong.empty();
  }

  @Override
  public void close() {
    monitor.ifPresent(DeviceMonitor::close);
  }
}
