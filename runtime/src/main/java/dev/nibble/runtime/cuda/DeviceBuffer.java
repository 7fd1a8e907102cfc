package dev.nibble.runtime.cuda;

import java.util.Objects;

/**
 * Memory of a device. Its address is a number and never a segment, for the host cannot read it.
 * Copies are asynchronous with respect to the host; offsets and sizes are bytes, and are checked.
 */
public final class DeviceBuffer extends DeviceResource {
  private final long address;
  private final long bytes;

  DeviceBuffer(Device device, long address, long bytes) {
    super(device);
    this.address = address;
    this.bytes = bytes;
  }

  /**
   * Its size.
   *
   * @return bytes
   */
  public long bytes() {
    return bytes;
  }

  /**
   * Its first byte, for a kernel's arguments.
   *
   * @return a device address
   */
  public long address() {
    requireOpen();
    return address;
  }

  private long address(long offset, long length) {
    return address() + Objects.checkFromIndexSize(offset, length, bytes);
  }

  /**
   * Copies from the host.
   *
   * @param stream does it
   * @param offset where to
   * @param source pinned; neither changed nor closed until the stream has done it
   * @param sourceOffset where from
   * @param length bytes
   */
  public void upload(
      Stream stream, long offset, PinnedBuffer source, long sourceOffset, long length) {
    device.check(
        "cuMemcpyHtoDAsync",
        driver()
            .cuMemcpyHtoDAsync(
                address(offset, length),
                source.segment().asSlice(sourceOffset, length),
                length,
                stream.handle()));
  }

  /**
   * Copies to the host.
   *
   * @param stream does it
   * @param offset where from
   * @param target pinned; neither read nor closed until the stream has done it
   * @param targetOffset where to
   * @param length bytes
   */
  public void download(
      Stream stream, long offset, PinnedBuffer target, long targetOffset, long length) {
    device.check(
        "cuMemcpyDtoHAsync",
        driver()
            .cuMemcpyDtoHAsync(
                target.segment().asSlice(targetOffset, length),
                address(offset, length),
                length,
                stream.handle()));
  }

  /**
   * Copies from memory of the same device. The ranges must not overlap.
   *
   * @param stream does it
   * @param offset where to
   * @param source the other memory
   * @param sourceOffset where from
   * @param length bytes
   */
  public void copyFrom(
      Stream stream, long offset, DeviceBuffer source, long sourceOffset, long length) {
    device.check(
        "cuMemcpyDtoDAsync",
        driver()
            .cuMemcpyDtoDAsync(
                address(offset, length),
                source.address(sourceOffset, length),
                length,
                stream.handle()));
  }

  /**
   * Sets bytes to one value.
   *
   * @param stream does it
   * @param offset where to
   * @param length bytes
   * @param value of each
   */
  public void fill(Stream stream, long offset, long length, byte value) {
    device.check(
        "cuMemsetD8Async",
        driver().cuMemsetD8Async(address(offset, length), value, length, stream.handle()));
  }

  @Override
  int free(CudaDriver driver) {
    return driver.cuMemFree(address);
  }

  @Override
  String freeFunction() {
    return "cuMemFree";
  }
}
