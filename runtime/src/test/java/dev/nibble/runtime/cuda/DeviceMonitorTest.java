package dev.nibble.runtime.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.bindings.nvml.nvmlMemory_t;
import dev.nibble.bindings.nvml.nvml_constants;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class DeviceMonitorTest {
  private static final String UUID = "GPU-a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf";
  private static final int UNKNOWN = 999;

  /** An NVML with one device that fails its n-th call. */
  private static final class FakeNvml implements Nvml {
    private final int failingCall;
    private final List<String> calls = new ArrayList<>();
    private int started;

    FakeNvml(int failingCall) {
      this.failingCall = failingCall;
    }

    private int call(String function, Runnable work) {
      calls.add(function);
      if (calls.size() - 1 == failingCall) {
        return UNKNOWN;
      }
      work.run();
      return nvml_constants.NVML_SUCCESS();
    }

    @Override
    public int nvmlInit() {
      return call("nvmlInit", () -> started++);
    }

    @Override
    public int nvmlShutdown() {
      started--;
      return call("nvmlShutdown", () -> {});
    }

    @Override
    public String errorText(int code) {
      return "Unknown Error";
    }

    @Override
    public int nvmlSystemGetDriverVersion(MemorySegment version, int bytes) {
      return call("nvmlSystemGetDriverVersion", () -> version.setString(0, "580.1"));
    }

    @Override
    public int nvmlDeviceGetHandleByUUID(MemorySegment uuid, MemorySegment device) {
      assertEquals(UUID, uuid.getString(0));
      return call(
          "nvmlDeviceGetHandleByUUID",
          () -> device.set(ValueLayout.ADDRESS, 0, MemorySegment.ofAddress(0x77)));
    }

    @Override
    public int nvmlDeviceGetMemoryInfo(MemorySegment device, MemorySegment memory) {
      assertEquals(0x77, device.address());
      return call(
          "nvmlDeviceGetMemoryInfo",
          () -> {
            nvmlMemory_t.used(memory, 5L << 30);
            nvmlMemory_t.total(memory, 9L << 30);
          });
    }

    @Override
    public int nvmlDeviceGetClockInfo(MemorySegment device, int clock, MemorySegment megahertz) {
      int value = clock == nvml_constants.NVML_CLOCK_SM() ? 1980 : 3201;
      return call("nvmlDeviceGetClockInfo", () -> megahertz.set(ValueLayout.JAVA_INT, 0, value));
    }

    @Override
    public int nvmlDeviceGetTemperature(MemorySegment device, int sensor, MemorySegment celsius) {
      return call("nvmlDeviceGetTemperature", () -> celsius.set(ValueLayout.JAVA_INT, 0, 41));
    }
  }

  private static DeviceReading readOnce(FakeNvml nvml) {
    try (DeviceMonitor monitor = DeviceMonitor.open(nvml, UUID)) {
      return monitor.read();
    }
  }

  @Test
  void readsTheDevice() {
    FakeNvml nvml = new FakeNvml(-1);
    assertEquals(new DeviceReading("580.1", 1980, 3201, 41, 5L << 30, 9L << 30), readOnce(nvml));
    assertEquals(0, nvml.started);
  }

  @Test
  void theFailureOfAnyCallIsThrownAndNvmlIsShutDown() {
    FakeNvml sound = new FakeNvml(-1);
    readOnce(sound);
    for (int i = 0; i < sound.calls.size(); i++) {
      FakeNvml nvml = new FakeNvml(i);
      NvmlException e = assertThrows(NvmlException.class, () -> readOnce(nvml));
      assertTrue(e.getMessage().startsWith(sound.calls.get(i) + " failed"), e::getMessage);
      assertEquals(UNKNOWN, e.code());
      assertEquals(0, nvml.started, sound.calls.get(i));
    }
  }

  @Test
  void afterCloseItRefuses() {
    FakeNvml nvml = new FakeNvml(-1);
    DeviceMonitor monitor = DeviceMonitor.open(nvml, UUID);
    monitor.close();
    monitor.close();
    assertThrows(IllegalStateException.class, monitor::read);
    assertEquals(0, nvml.started);
  }

  /** Where the library is absent that is an answer, and no error of a class. */
  @Test
  void thisMachinesLibraryIsLookedForTwice() {
    for (int i = 0; i < 2; i++) {
      assertEquals(NativeDriver.canLoad(NativeNvml.LIBRARY), NativeNvml.find().isPresent());
    }
  }
}
