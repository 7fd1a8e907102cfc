package dev.nibble.runtime.cuda;

import java.util.Objects;

/**
 * A part of a device's memory.
 *
 * @param buffer that it lies in
 * @param offset of its first byte there
 * @param bytes its size
 */
public record DeviceRange(DeviceBuffer buffer, long offset, long bytes) {
  /** Checks that it lies inside. */
  public DeviceRange {
    Objects.checkFromIndexSize(offset, bytes, buffer.bytes());
  }

  /**
   * A whole buffer.
   *
   * @param buffer the buffer
   * @return all of it
   */
  public static DeviceRange of(DeviceBuffer buffer) {
    return new DeviceRange(buffer, 0, buffer.bytes());
  }

  /**
   * Its first byte, for a kernel's arguments.
   *
   * @return a device address
   */
  public long address() {
    return buffer.address() + offset;
  }

  /**
   * A part of it.
   *
   * @param from first byte
   * @param length bytes
   * @return the part
   */
  public DeviceRange slice(long from, long length) {
    Objects.checkFromIndexSize(from, length, bytes);
    return new DeviceRange(buffer, offset + from, length);
  }

  /**
   * Checks a kernel's need.
   *
   * @param what for the message
   * @param needed bytes
   * @return the address of the first byte
   * @throws IllegalArgumentException if it is smaller
   */
  public long require(String what, long needed) {
    if (bytes < needed) {
      throw new IllegalArgumentException(
          what + ": needs " + needed + " bytes of device memory, has " + bytes);
    }
    return address();
  }

  /**
   * Copies from the host. Asynchronous with respect to the host.
   *
   * @param stream does it
   * @param source pinned; neither changed nor closed until the stream has done it
   * @param sourceOffset where from
   * @param length bytes
   */
  public void upload(Stream stream, PinnedBuffer source, long sourceOffset, long length) {
    Objects.checkFromIndexSize(0, length, bytes);
    buffer.upload(stream, offset, source, sourceOffset, length);
  }

  /**
   * Copies to the host. Asynchronous with respect to the host.
   *
   * @param stream does it
   * @param target pinned; neither read nor closed until the stream has done it
   * @param targetOffset where to
   * @param length bytes
   */
  public void download(Stream stream, PinnedBuffer target, long targetOffset, long length) {
    Objects.checkFromIndexSize(0, length, bytes);
    buffer.download(stream, offset, target, targetOffset, length);
  }

  /**
   * Sets all bytes to one value. Asynchronous with respect to the host.
   *
   * @param stream does it
   * @param value of each
   */
  public void fill(Stream stream, byte value) {
    buffer.fill(stream, offset, bytes, value);
  }
}
