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
}
