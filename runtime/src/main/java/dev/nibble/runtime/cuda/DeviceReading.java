package dev.nibble.runtime.cuda;

/**
 * How a device is doing, as NVML tells it.
 *
 * @param driver release of the driver, such as 580.95.05
 * @param multiprocessorMegahertz clock of the multiprocessors
 * @param memoryMegahertz clock of the memory
 * @param celsius temperature
 * @param usedBytes memory in use, by every process
 * @param totalBytes all memory
 */
public record DeviceReading(
    String driver,
    int multiprocessorMegahertz,
    int memoryMegahertz,
    int celsius,
    long usedBytes,
    long totalBytes) {}
