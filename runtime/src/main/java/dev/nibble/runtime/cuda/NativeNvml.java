package dev.nibble.runtime.cuda;

import dev.nibble.bindings.nvml.nvml_h;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/** The installed NVML. The only class that touches the generated one, which loads the library. */
final class NativeNvml implements Nvml {
  static final String LIBRARY = "libnvidia-ml.so.1";

  private NativeNvml() {}

  /** Asked of the system once. */
  private static final class Probe {
    static final boolean FOUND = NativeDriver.canLoad(LIBRARY);
  }

  /** The library; empty if it cannot be loaded. */
  static Optional<Nvml> find() {
    return Probe.FOUND ? Optional.of(new NativeNvml()) : Optional.empty();
  }

  @Override
  public int nvmlInit() {
    return nvml_h.nvmlInit_v2();
  }

  @Override
  public int nvmlShutdown() {
    return nvml_h.nvmlShutdown();
  }

  @Override
  @SuppressWarnings("restricted")
  public String errorText(int code) {
    return nvml_h.nvmlErrorString(code).reinterpret(Long.MAX_VALUE).getString(0);
  }

  @Override
  public int nvmlSystemGetDriverVersion(MemorySegment version, int bytes) {
    return nvml_h.nvmlSystemGetDriverVersion(version, bytes);
  }

  @Override
  public int nvmlDeviceGetHandleByUUID(MemorySegment uuid, MemorySegment device) {
    return nvml_h.nvmlDeviceGetHandleByUUID(uuid, device);
  }

  @Override
  public int nvmlDeviceGetMemoryInfo(MemorySegment device, MemorySegment memory) {
    return nvml_h.nvmlDeviceGetMemoryInfo(device, memory);
  }

  @Override
  public int nvmlDeviceGetClockInfo(MemorySegment device, int clock, MemorySegment megahertz) {
    return nvml_h.nvmlDeviceGetClockInfo(device, clock, megahertz);
  }

  @Override
  public int nvmlDeviceGetTemperature(MemorySegment device, int sensor, MemorySegment celsius) {
    return nvml_h.nvmlDeviceGetTemperature(device, sensor, celsius);
  }
}
