package dev.nibble.runtime.kernel;

import dev.nibble.runtime.cuda.Device;
import dev.nibble.runtime.cuda.DeviceBuffer;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.PinnedBuffer;
import dev.nibble.runtime.cuda.Stream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A device with a stream and its kernels, and arrays on it. What kernels write to is followed by
 * bytes that they must leave alone.
 */
final class GpuFixture implements AutoCloseable {
  private static final int SENTINELS = 1024;
  private static final byte SENTINEL = 0x5a;

  final Device device = Device.open(0);
  final Stream stream = device.newStream();
  final KernelCatalog kernels =
      new KernelCatalog(
          device,
          System.getProperty("image", device.properties().imageArchitecture().orElseThrow()));

  /** Memory filled with sentinels, NaN as halves and floats are, and some more of them behind. */
  DeviceRange room(long bytes) {
    DeviceBuffer buffer = device.allocate(bytes + SENTINELS);
    buffer.fill(stream, 0, bytes, (byte) 0xff);
    buffer.fill(stream, bytes, SENTINELS, SENTINEL);
    return new DeviceRange(buffer, 0, bytes);
  }

  DeviceRange upload(MemorySegment source) {
    DeviceRange room = room(source.byteSize());
    try (PinnedBuffer staging = device.allocatePinned(source.byteSize())) {
      staging.segment().copyFrom(source);
      room.upload(stream, staging, 0, source.byteSize());
      stream.synchronize();
    }
    return room;
  }

  DeviceRange floats(float... values) {
    return upload(MemorySegment.ofArray(values));
  }

  DeviceRange ints(int... values) {
    return upload(MemorySegment.ofArray(values));
  }

  DeviceRange halves(float... values) {
    short[] halves = new short[values.length];
    for (int i = 0; i < values.length; i++) {
      halves[i] = Float.floatToFloat16(values[i]);
    }
    return upload(MemorySegment.ofArray(halves));
  }

  /** What a kernel wrote, once the sentinels behind it are seen to be whole. */
  MemorySegment download(DeviceRange range) {
    try (PinnedBuffer staging = device.allocatePinned(range.bytes() + SENTINELS)) {
      range.buffer().download(stream, 0, staging, 0, range.bytes() + SENTINELS);
      stream.synchronize();
      for (long i = 0; i < SENTINELS; i++) {
        if (staging.segment().get(ValueLayout.JAVA_BYTE, range.bytes() + i) != SENTINEL) {
          throw new AssertionError("written " + i + " bytes past the end of " + range);
        }
      }
      byte[] copy = new byte[Math.toIntExact(range.bytes())];
      MemorySegment.copy(staging.segment(), ValueLayout.JAVA_BYTE, 0, copy, 0, copy.length);
      return MemorySegment.ofArray(copy);
    }
  }

  byte[] downloadBytes(DeviceRange range) {
    return download(range).toArray(ValueLayout.JAVA_BYTE);
  }

  float[] downloadFloats(DeviceRange range) {
    return download(range).toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
  }

  int[] downloadInts(DeviceRange range) {
    return download(range).toArray(ValueLayout.JAVA_INT_UNALIGNED);
  }

  float[] downloadHalves(DeviceRange range) {
    short[] halves = download(range).toArray(ValueLayout.JAVA_SHORT_UNALIGNED);
    float[] values = new float[halves.length];
    for (int i = 0; i < halves.length; i++) {
      values[i] = Float.float16ToFloat(halves[i]);
    }
    return values;
  }

  @Override
  public void close() {
    device.close();
  }
}
