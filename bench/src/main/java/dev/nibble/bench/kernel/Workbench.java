package dev.nibble.bench.kernel;

import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.runtime.cuda.Device;
import dev.nibble.runtime.cuda.DeviceBuffer;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Event;
import dev.nibble.runtime.cuda.Graph;
import dev.nibble.runtime.cuda.PinnedBuffer;
import dev.nibble.runtime.cuda.Stream;
import dev.nibble.runtime.kernel.KernelCatalog;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntConsumer;

/** A GPU to measure on: memory, copies and times. Used by one thread. */
public final class Workbench implements AutoCloseable {
  /** Memory that an operation goes round in, so that no cache has what it reads. */
  public static final long ROTATED_BYTES = 200L << 20;

  private static final int STAGING_BYTES = 32 << 20;
  private static final int WARM_UPS = 3;

  private final Device device;
  private final Stream stream;
  private final KernelCatalog kernels;
  private final PinnedBuffer staging;
  private final List<DeviceBuffer> taken = new ArrayList<>();

  private Workbench(Device device, String architecture) {
    this.device = device;
    stream = device.newStream();
    kernels = new KernelCatalog(device, architecture);
    staging = device.allocatePinned(STAGING_BYTES);
  }

  /**
   * Opens the first GPU.
   *
   * @return the workbench
   */
  public static Workbench open() {
    Device device = Device.open(0);
    String own = device.properties().imageArchitecture().orElseThrow();
    return new Workbench(device, System.getProperty("image", own));
  }

  Device device() {
    return device;
  }

  Stream stream() {
    return stream;
  }

  KernelCatalog kernels() {
    return kernels;
  }

  /** Memory with anything in it. */
  DeviceRange room(long bytes) {
    DeviceBuffer buffer = device.allocate(Math.max(bytes, 1));
    taken.add(buffer);
    return DeviceRange.of(buffer);
  }

  /** Memory of zeros. */
  DeviceRange zeros(long bytes) {
    DeviceRange range = room(bytes);
    range.fill(stream, (byte) 0);
    return range;
  }

  /** Gives back what was taken since the last time. */
  void clear() {
    stream.synchronize();
    taken.forEach(DeviceBuffer::close);
    taken.clear();
  }

  /** Memory with these bytes. */
  DeviceRange upload(MemorySegment source) {
    DeviceRange range = room(source.byteSize());
    for (long at = 0; at < source.byteSize(); at += STAGING_BYTES) {
      long length = Math.min(STAGING_BYTES, source.byteSize() - at);
      MemorySegment.copy(source, at, staging.segment(), 0, length);
      range.slice(at, length).upload(stream, staging, 0, length);
      stream.synchronize();
    }
    return range;
  }

  /** Memory with these numbers as halves, which they must be already. */
  DeviceRange halves(float[] values) {
    short[] halves = new short[values.length];
    for (int i = 0; i < values.length; i++) {
      halves[i] = Float.floatToFloat16(values[i]);
    }
    return upload(MemorySegment.ofArray(halves));
  }

  /** Another place with the same bytes. */
  DeviceRange copy(DeviceRange source) {
    DeviceRange range = room(source.bytes());
    range.buffer().copyFrom(stream, 0, source.buffer(), source.offset(), source.bytes());
    return range;
  }

  /** Halves that the GPU has written, at most {@value #STAGING_BYTES} bytes of them. */
  float[] readHalves(DeviceRange range) {
    short[] halves = read(range).toArray(ValueLayout.JAVA_SHORT);
    float[] values = new float[halves.length];
    for (int i = 0; i < halves.length; i++) {
      values[i] = Float.float16ToFloat(halves[i]);
    }
    return values;
  }

  /** What the GPU has written, until the next copy. */
  MemorySegment read(DeviceRange range) {
    range.download(stream, staging, 0, range.bytes());
    stream.synchronize();
    return staging.segment().asSlice(0, range.bytes());
  }

  /** How many copies of so many bytes no cache holds. */
  static int rotations(long bytes) {
    return Math.toIntExact(ROTATED_BYTES / bytes + 1);
  }

  /**
   * Times work.
   *
   * @param launches in one graph
   * @param work enqueues the launch of a number from 0
   * @param samples replays of the graph that count
   * @return microseconds of a launch
   */
  Spread microseconds(int launches, IntConsumer work, int samples) {
    work.accept(0);
    stream.synchronize();
    try (Graph graph =
            stream.capture(() -> {
              for (int i = 0; i < launches; i++) {
                work.accept(i);
              }
            });
        Event start = device.newEvent(Event.Timing.KEPT);
        Event end = device.newEvent(Event.Timing.KEPT)) {
      double[] times = new double[samples];
      for (int i = -WARM_UPS; i < samples; i++) {
        stream.record(start);
        graph.launch(stream);
        stream.record(end);
        end.synchronize();
        if (i >= 0) {
          times[i] = 1e3 * end.millisecondsSince(start) / launches;
        }
      }
      return Spread.of(times);
    }
  }

  @Override
  public void close() {
    device.close();
  }
}
