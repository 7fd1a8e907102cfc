package dev.nibble.runtime.cuda;

import dev.nibble.bindings.cuda.CUuuid;
import dev.nibble.bindings.cuda.cuda_constants;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;

/** Finds the CUDA devices of this machine. Thread-safe. */
public final class CudaDevices {
  private static final int NAME_BYTES = 256;

  private CudaDevices() {}

  /**
   * Looks for the driver and its devices. Makes no context, so it takes no memory on a device.
   *
   * @return what was found; every failure is a status of its own, none is thrown
   */
  public static CudaStatus probe() {
    return probe(NativeDriver.find());
  }

  static CudaStatus probe(Optional<CudaDriver> found) {
    if (found.isEmpty()) {
      return new CudaStatus.DriverAbsent();
    }
    CudaDriver driver = found.get();
    try (Arena arena = Arena.ofConfined()) {
      CudaVersion version = version(driver, arena);
      if (version.compareTo(CudaVersion.NEEDED) < 0) {
        return new CudaStatus.DriverTooOld(version);
      }
      int started = driver.cuInit(0);
      if (started == cuda_constants.CUDA_ERROR_NO_DEVICE()) {
        return new CudaStatus.NoDevice(version);
      }
      Cuda.check(driver, "cuInit", started);
      MemorySegment count = arena.allocate(ValueLayout.JAVA_INT);
      Cuda.check(driver, "cuDeviceGetCount", driver.cuDeviceGetCount(count));
      List<DeviceProperties> devices = new ArrayList<>();
      for (int i = 0; i < count.get(ValueLayout.JAVA_INT, 0); i++) {
        devices.add(properties(driver, i));
      }
      return devices.isEmpty()
          ? new CudaStatus.NoDevice(version)
          : new CudaStatus.Ready(version, devices);
    } catch (CudaException e) {
      return new CudaStatus.Unusable(e);
    }
  }

  private static CudaVersion version(CudaDriver driver, Arena arena) {
    MemorySegment number = arena.allocate(ValueLayout.JAVA_INT);
    Cuda.check(driver, "cuDriverGetVersion", driver.cuDriverGetVersion(number));
    return CudaVersion.ofNumber(number.get(ValueLayout.JAVA_INT, 0));
  }

  static DeviceProperties properties(CudaDriver driver, int ordinal) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ValueLayout.JAVA_LONG);
      Cuda.check(driver, "cuDeviceGet", driver.cuDeviceGet(out, ordinal));
      int device = out.get(ValueLayout.JAVA_INT, 0);
      MemorySegment name = arena.allocate(NAME_BYTES);
      Cuda.check(driver, "cuDeviceGetName", driver.cuDeviceGetName(name, NAME_BYTES, device));
      MemorySegment uuid = CUuuid.allocate(arena);
      Cuda.check(driver, "cuDeviceGetUuid", driver.cuDeviceGetUuid(uuid, device));
      Cuda.check(driver, "cuDeviceTotalMem", driver.cuDeviceTotalMem(out, device));
      long memoryBytes = out.get(ValueLayout.JAVA_LONG, 0);
      return new DeviceProperties(
          ordinal,
          name.getString(0),
          uuid(uuid.toArray(ValueLayout.JAVA_BYTE)),
          new ComputeCapability(
              attribute(
                  driver,
                  out,
                  cuda_constants.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR(),
                  device),
              attribute(
                  driver,
                  out,
                  cuda_constants.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR(),
                  device)),
          memoryBytes,
          attribute(driver, out, cuda_constants.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT(), device),
          attribute(driver, out, cuda_constants.CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE(), device),
          attribute(
              driver,
              out,
              cuda_constants.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN(),
              device));
    }
  }

  private static int attribute(CudaDriver driver, MemorySegment out, int attribute, int device) {
    Cuda.check(driver, "cuDeviceGetAttribute", driver.cuDeviceGetAttribute(out, attribute, device));
    return out.get(ValueLayout.JAVA_INT, 0);
  }

  private static String uuid(byte[] bytes) {
    String hex = HexFormat.of().formatHex(bytes);
    return "GPU-"
        + String.join(
            "-",
            hex.substring(0, 8),
            hex.substring(8, 12),
            hex.substring(12, 16),
            hex.substring(16, 20),
            hex.substring(20));
  }
}
