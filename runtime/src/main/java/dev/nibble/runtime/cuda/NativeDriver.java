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

  /** Asked of the system once, when a driver is first looked for. */
  private static final class Probe {
    static final boolean FOUND = canLoad(LIBRARY);
  }

  /**
   * Tells whether the driver's library is here.
   *
   * @return the driver, empty if the library cannot be loaded
   */
  static Optional<CudaDriver> find() {
    return Probe.FOUND ? Optional.of(new NativeDriver()) : Optional.empty();
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

  @Override
  public int cuDevicePrimaryCtxRetain(MemorySegment context, int device) {
    return cuda_h.cuDevicePrimaryCtxRetain(context, device);
  }

  @Override
  public int cuDevicePrimaryCtxRelease(int device) {
    return cuda_h.cuDevicePrimaryCtxRelease_v2(device);
  }

  @Override
  public int cuCtxSetCurrent(MemorySegment context) {
    return cuda_h.cuCtxSetCurrent(context);
  }

  @Override
  public int cuCtxSynchronize() {
    return cuda_h.cuCtxSynchronize();
  }

  @Override
  public int cuMemGetInfo(MemorySegment free, MemorySegment total) {
    return cuda_h.cuMemGetInfo_v2(free, total);
  }

  @Override
  public int cuMemAlloc(MemorySegment address, long bytes) {
    return cuda_h.cuMemAlloc_v2(address, bytes);
  }

  @Override
  public int cuMemFree(long address) {
    return cuda_h.cuMemFree_v2(address);
  }

  @Override
  public int cuMemHostAlloc(MemorySegment pointer, long bytes, int flags) {
    return cuda_h.cuMemHostAlloc(pointer, bytes, flags);
  }

  @Override
  public int cuMemFreeHost(MemorySegment pointer) {
    return cuda_h.cuMemFreeHost(pointer);
  }

  @Override
  public int cuMemcpyHtoDAsync(long to, MemorySegment from, long bytes, MemorySegment stream) {
    return cuda_h.cuMemcpyHtoDAsync_v2(to, from, bytes, stream);
  }

  @Override
  public int cuMemcpyDtoHAsync(MemorySegment to, long from, long bytes, MemorySegment stream) {
    return cuda_h.cuMemcpyDtoHAsync_v2(to, from, bytes, stream);
  }

  @Override
  public int cuMemcpyDtoDAsync(long to, long from, long bytes, MemorySegment stream) {
    return cuda_h.cuMemcpyDtoDAsync_v2(to, from, bytes, stream);
  }

  @Override
  public int cuMemsetD8Async(long to, byte value, long bytes, MemorySegment stream) {
    return cuda_h.cuMemsetD8Async(to, value, bytes, stream);
  }

  @Override
  public int cuStreamCreate(MemorySegment stream, int flags) {
    return cuda_h.cuStreamCreate(stream, flags);
  }

  @Override
  public int cuStreamDestroy(MemorySegment stream) {
    return cuda_h.cuStreamDestroy_v2(stream);
  }

  @Override
  public int cuStreamSynchronize(MemorySegment stream) {
    return cuda_h.cuStreamSynchronize(stream);
  }

  @Override
  public int cuStreamWaitEvent(MemorySegment stream, MemorySegment event, int flags) {
    return cuda_h.cuStreamWaitEvent(stream, event, flags);
  }

  @Override
  public int cuStreamBeginCapture(MemorySegment stream, int mode) {
    return cuda_h.cuStreamBeginCapture_v2(stream, mode);
  }

  @Override
  public int cuStreamEndCapture(MemorySegment stream, MemorySegment graph) {
    return cuda_h.cuStreamEndCapture(stream, graph);
  }

  @Override
  public int cuEventCreate(MemorySegment event, int flags) {
    return cuda_h.cuEventCreate(event, flags);
  }

  @Override
  public int cuEventDestroy(MemorySegment event) {
    return cuda_h.cuEventDestroy_v2(event);
  }

  @Override
  public int cuEventRecord(MemorySegment event, MemorySegment stream) {
    return cuda_h.cuEventRecord(event, stream);
  }

  @Override
  public int cuEventSynchronize(MemorySegment event) {
    return cuda_h.cuEventSynchronize(event);
  }

  @Override
  public int cuEventElapsedTime(
      MemorySegment milliseconds, MemorySegment start, MemorySegment end) {
    return cuda_h.cuEventElapsedTime_v2(milliseconds, start, end);
  }

  @Override
  public int cuLibraryLoadData(MemorySegment library, MemorySegment image) {
    return cuda_h.cuLibraryLoadData(
        library,
        image,
        MemorySegment.NULL,
        MemorySegment.NULL,
        0,
        MemorySegment.NULL,
        MemorySegment.NULL,
        0);
  }

  @Override
  public int cuLibraryUnload(MemorySegment library) {
    return cuda_h.cuLibraryUnload(library);
  }

  @Override
  public int cuLibraryGetKernel(MemorySegment kernel, MemorySegment library, MemorySegment name) {
    return cuda_h.cuLibraryGetKernel(kernel, library, name);
  }

  @Override
  public int cuKernelGetFunction(MemorySegment function, MemorySegment kernel) {
    return cuda_h.cuKernelGetFunction(function, kernel);
  }

  @Override
  public int cuFuncLoad(MemorySegment function) {
    return cuda_h.cuFuncLoad(function);
  }

  @Override
  public int cuFuncGetAttribute(MemorySegment value, int attribute, MemorySegment function) {
    return cuda_h.cuFuncGetAttribute(value, attribute, function);
  }

  @Override
  public int cuFuncSetAttribute(MemorySegment function, int attribute, int value) {
    return cuda_h.cuFuncSetAttribute(function, attribute, value);
  }

  @Override
  public int cuLaunchKernelEx(
      MemorySegment config, MemorySegment function, MemorySegment arguments, MemorySegment extra) {
    return cuda_h.cuLaunchKernelEx(config, function, arguments, extra);
  }

  @Override
  public int cuGraphInstantiateWithFlags(
      MemorySegment executable, MemorySegment graph, long flags) {
    return cuda_h.cuGraphInstantiateWithFlags(executable, graph, flags);
  }

  @Override
  public int cuGraphDestroy(MemorySegment graph) {
    return cuda_h.cuGraphDestroy(graph);
  }

  @Override
  public int cuGraphExecDestroy(MemorySegment executable) {
    return cuda_h.cuGraphExecDestroy(executable);
  }

  @Override
  public int cuGraphLaunch(MemorySegment executable, MemorySegment stream) {
    return cuda_h.cuGraphLaunch(executable, stream);
  }
}
