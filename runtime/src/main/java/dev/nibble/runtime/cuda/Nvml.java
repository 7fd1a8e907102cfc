package dev.nibble.runtime.cuda;

import java.lang.foreign.MemorySegment;

/**
 * NVML's functions in use, with the C signatures: results are nvmlReturn_t codes, out parameters
 * segments of the caller. Names leave out the version suffixes.
 */
interface Nvml {
  int nvmlInit();

  int nvmlShutdown();

  /** The text that {@code nvmlErrorString} gives. */
  String errorText(int code);

  int nvmlSystemGetDriverVersion(MemorySegment version, int bytes);

  int nvmlDeviceGetHandleByUUID(MemorySegment uuid, MemorySegment device);

  int nvmlDeviceGetMemoryInfo(MemorySegment device, MemorySegment memory);

  int nvmlDeviceGetClockInfo(MemorySegment device, int clock, MemorySegment megahertz);

  int nvmlDeviceGetTemperature(MemorySegment device, int sensor, MemorySegment celsius);
}
