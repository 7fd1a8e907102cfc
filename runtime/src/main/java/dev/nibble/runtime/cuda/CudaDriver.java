package dev.nibble.runtime.cuda;

import java.lang.foreign.MemorySegment;

/**
 * The driver functions in use, with the C signatures: results are CUresult codes, pointer handles
 * are zero-length segments, out parameters are segments of the caller. Names leave out the version
 * suffixes. Thread-safe as far as the driver is.
 */
interface CudaDriver {
  int cuInit(int flags);

  int cuDriverGetVersion(MemorySegment version);

  /**
   * The name that {@code cuGetErrorName} gives.
   *
   * @return the name, empty if the driver knows no such code
   */
  String errorName(int code);

  /**
   * The text that {@code cuGetErrorString} gives.
   *
   * @return the text, empty if the driver knows no such code
   */
  String errorText(int code);

  int cuDeviceGetCount(MemorySegment count);

  int cuDeviceGet(MemorySegment device, int ordinal);

  int cuDeviceGetName(MemorySegment name, int bytes, int device);

  int cuDeviceGetUuid(MemorySegment uuid, int device);

  int cuDeviceTotalMem(MemorySegment bytes, int device);

  int cuDeviceGetAttribute(MemorySegment value, int attribute, int device);

  int cuDevicePrimaryCtxRetain(MemorySegment context, int device);

  int cuDevicePrimaryCtxRelease(int device);

  int cuCtxSetCurrent(MemorySegment context);

  int cuCtxSynchronize();

  int cuMemGetInfo(MemorySegment free, MemorySegment total);

  int cuMemAlloc(MemorySegment address, long bytes);

  int cuMemFree(long address);

  int cuMemHostAlloc(MemorySegment pointer, long bytes, int flags);

  int cuMemFreeHost(MemorySegment pointer);

  int cuMemcpyHtoDAsync(long to, MemorySegment from, long bytes, MemorySegment stream);

  int cuMemcpyDtoHAsync(MemorySegment to, long from, long bytes, MemorySegment stream);

  int cuMemcpyDtoDAsync(long to, long from, long bytes, MemorySegment stream);

  int cuMemsetD8Async(long to, byte value, long bytes, MemorySegment stream);

  int cuStreamCreate(MemorySegment stream, int flags);

  int cuStreamDestroy(MemorySegment stream);

  int cuStreamSynchronize(MemorySegment stream);

  int cuStreamWaitEvent(MemorySegment stream, MemorySegment event, int flags);

  int cuStreamBeginCapture(MemorySegment stream, int mode);

  int cuStreamEndCapture(MemorySegment stream, MemorySegment graph);

  int cuEventCreate(MemorySegment event, int flags);

  int cuEventDestroy(MemorySegment event);

  int cuEventRecord(MemorySegment event, MemorySegment stream);

  int cuEventSynchronize(MemorySegment event);

  int cuEventElapsedTime(MemorySegment milliseconds, MemorySegment start, MemorySegment end);

  int cuLibraryLoadData(MemorySegment library, MemorySegment image);

  int cuLibraryUnload(MemorySegment library);

  int cuLibraryGetKernel(MemorySegment kernel, MemorySegment library, MemorySegment name);

  int cuKernelGetFunction(MemorySegment function, MemorySegment kernel);

  int cuFuncLoad(MemorySegment function);

  int cuFuncGetAttribute(MemorySegment value, int attribute, MemorySegment function);

  int cuFuncSetAttribute(MemorySegment function, int attribute, int value);

  int cuLaunchKernelEx(
      MemorySegment config, MemorySegment function, MemorySegment arguments, MemorySegment extra);

  int cuGraphInstantiateWithFlags(MemorySegment executable, MemorySegment graph, long flags);

  int cuGraphDestroy(MemorySegment graph);

  int cuGraphExecDestroy(MemorySegment executable);

  int cuGraphLaunch(MemorySegment executable, MemorySegment stream);
}
