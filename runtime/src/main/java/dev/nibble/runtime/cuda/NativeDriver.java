package dev.nibble.runtime.cuda;

import dev.nibble.bindings.cuda.cuda_constants;
import dev.nibble.bindings.cuda.cuda_h;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.util.Optional;

/** The installed driver. The only class that touches the generated one, which loads the library. */
final class NativeDriver implements CudaDriver {
  static final String LIBRARY = "libcuda.so.1";

  private NativeDriver() {}

  /**
   * Looks for the driver's library.
   *
   * @return the driver, empty if the library cannot be loaded
   */
  static Optional<CudaDriver> find() {
    return canLoad(LIBRARY) ? Optional.of(new NativeDriver()) : Optional.empty();
  }

  @SuppressWarnings("restricted")
  static boolean canLoad(String library) {
    try (Arena arena = Arena.ofConfined()) {
      SymbolLookup.libraryLookup(library, arena);
      return true;
    } catch (IllegalArgumentException e) {
      return false;
    }
  }

  @Override
  public int cuInit(int flags) {
    return cuda_h.cuInit(flags);
  }

  @Override
  public int cuDriverGetVersion(MemorySegment version) {
    return cuda_h.cuDriverGetVersion(version);
  }

  @Override
  public String errorName(int code) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
      return string(cuda_h.cuGetErrorName(code, out), out);
    }
  }

  @Override
  public String errorText(int code) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
      return string(cuda_h.cuGetErrorString(code, out), out);
    }
  }

  @SuppressWarnings("restricted")
  private static String string(int result, MemorySegment out) {
    if (result != cuda_constants.CUDA_SUCCESS()) {
      return "";
    }
    return out.get(ValueLayout.ADDRESS, 0).reinterpret(Long.MAX_VALUE).getString(0);
  }

  @Override
  public int cuDeviceGetCount(MemorySegment count) {
    return cuda_h.cuDeviceGetCount(count);
  }

  @Override
  public int cuDeviceGet(MemorySegment device, int ordinal) {
    return cuda_h.cuDeviceGet(device, ordinal);
  }

  @Override
  public int cuDeviceGetName(MemorySegment name, int bytes, int device) {
    return cuda_h.cuDeviceGetName(name, bytes, device);
  }

  @Override
  public int cuDeviceGetUuid(MemorySegment uuid, int device) {
    return cuda_h.cuDeviceGetUuid_v2(uuid, device);
  }

  @Override
  public int cuDeviceTotalMem(MemorySegment bytes, int device) {
    return cuda_h.cuDeviceTotalMem_v2(bytes, device);
  }

  @Override
  public int cuDeviceGetAttribute(MemorySegment value, int attribute, int device) {
    return cuda_h.cuDeviceGetAttribute(value, attribute, device);
  }
}
