package dev.nibble.runtime.cuda;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * What a driver was asked to do, in the form that native/src/test/replay.cpp reads: operations,
 * each a 64-bit code and its operands of 64 bits, little-endian; texts and bytes after their
 * length.
 */
final class LaunchTrace {
  private static final String MAGIC = "nibblet2";
  private static final long ALLOCATE = 1;
  private static final long UPLOAD = 2;
  private static final long FILL = 3;
  private static final long COPY = 4;
  private static final long LAUNCH = 5;
  private static final long EXPECT = 6;

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private int launches;

  LaunchTrace() {
    out.writeBytes(MAGIC.getBytes(StandardCharsets.US_ASCII));
  }

  int launches() {
    return launches;
  }

  void allocate(long address, long bytes) {
    numbers(ALLOCATE, address, bytes);
  }

  void upload(long to, byte[] bytes) {
    numbers(UPLOAD, to);
    bytes(bytes);
  }

  void fill(long to, long value, long bytes) {
    numbers(FILL, to, value, bytes);
  }

  void copy(long to, long from, long bytes) {
    numbers(COPY, to, from, bytes);
  }

  void launch(
      String image,
      String kernel,
      Dim3 grid,
      Dim3 block,
      Dim3 cluster,
      long sharedBytes,
      long mayStartEarly,
      byte[] arguments) {
    launches++;
    numbers(LAUNCH, sharedBytes, mayStartEarly);
    for (Dim3 size : new Dim3[] {grid, block, cluster}) {
      numbers(size.x(), size.y(), size.z());
    }
    bytes(image.getBytes(StandardCharsets.US_ASCII));
    bytes(kernel.getBytes(StandardCharsets.US_ASCII));
    bytes(arguments);
  }

  /**
   * Rows that must lie at an address by then.
   *
   * @param values as floats, whatever the elements are
   * @param stride elements from one row to the next on the device
   * @param limit of the squared error over the squares
   */
  void expect(
      long address, Element element, float[] values, int columns, int stride, double limit) {
    numbers(
        EXPECT,
        address,
        element.number(),
        values.length / columns,
        columns,
        stride,
        Double.doubleToLongBits(limit));
    bytes(MemorySegment.ofArray(values).toArray(ValueLayout.JAVA_BYTE));
  }

  private void numbers(long... values) {
    ByteBuffer buffer =
        ByteBuffer.allocate(Long.BYTES * values.length).order(ByteOrder.LITTLE_ENDIAN);
    for (long value : values) {
      buffer.putLong(value);
    }
    out.writeBytes(buffer.array());
  }

  private void bytes(byte[] bytes) {
    numbers(bytes.length);
    out.writeBytes(bytes);
  }

  void write(Path file) {
    try {
      Files.write(file, out.toByteArray());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
