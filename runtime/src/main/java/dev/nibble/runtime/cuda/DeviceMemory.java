package dev.nibble.runtime.cuda;

/**
 * A device's memory at one moment.
 *
 * @param freeBytes what can still be allocated
 * @param totalBytes all that this process could use
 */
public record DeviceMemory(long freeBytes, long totalBytes) {}
