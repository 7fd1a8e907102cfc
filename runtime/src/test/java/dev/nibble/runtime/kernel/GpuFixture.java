package dev.nibble.runtime.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.runtime.cuda.Device;
import dev.nibble.runtime.cuda.DeviceBuffer;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Element;
import dev.nibble.runtime.cuda.PinnedBuffer;
import dev.nibble.runtime.cuda.Stream;
import dev.nibble.runtime.cuda.TracedDevice;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/**
 * A device with a stream and its kernels, arrays on it, and what must be in them. What kernels
 * write to is an allocation of its own, followed by bytes that they must leave alone.
 *
 * <p>With {@code -Dtraces=FOLDER} nothing runs: launches and expectations go to {@code
 * FOLDER/TEST.trace}, for native/src/test/replay.cpp.
 */
public final class GpuFixture implements AutoCloseable {
  private static final long SEED = Long.getLong("tests.seed", System.nanoTime());
  private static final int SENTINELS = 1024;
  private static final byte SENTINEL = 0x5a;
  private static final byte UNWRITTEN = (byte) 0xff;
  private static final int STAGING_BYTES = 1 << 20;

  private final @Nullable TracedDevice traced;
  private final @Nullable Path trace;
  private final Device device;
  private final Stream stream;
  private final KernelCatalog kernels;
  private PinnedBuffer staging;

  private GpuFixture(@Nullable TracedDevice traced, @Nullable Path trace) {
    this.traced = traced;
    this.trace = trace;
    device = traced == null ? Device.open(0) : traced.open();
    stream = device.newStream();
    kernels =
        traced == null
            ? new KernelCatalog(
                device,
                System.getProperty("image", device.properties().imageArchitecture().orElseThrow()))
            : new KernelCatalog(
                device,
                System.getProperty("image", "sm_90a"),
                image -> image.name().getBytes(StandardCharsets.US_ASCII));
    staging = device.allocatePinned(STAGING_BYTES);
  }

  /** For the tests of a class. */
  public static GpuFixture open(Class<?> test) {
    String folder = System.getProperty("traces");
    return folder == null
        ? new GpuFixture(null, null)
        : new GpuFixture(
            TracedDevice.create(), Path.of(folder).resolve(test.getSimpleName() + ".trace"));
  }

  /** Random numbers of this run, the same at every call. */
  public static Random random() {
    return new Random(SEED);
  }

  /** What makes a failure come again. */
  public static String seed() {
    return ", -Dtests.seed=" + SEED;
  }

  public Stream stream() {
    return stream;
  }

  public KernelCatalog kernels() {
    return kernels;
  }

  /** Whether nothing runs: checkers are slow, so some sizes will do. */
  public boolean isTraced() {
    return traced != null;
  }

  /** Memory that holds NaN as halves and floats; on a GPU with sentinels behind it. */
  public DeviceRange room(long bytes) {
    DeviceBuffer buffer = device.allocate(traced == null ? bytes + SENTINELS : bytes);
    if (traced == null) {
      buffer.fill(stream, 0, bytes, UNWRITTEN);
      buffer.fill(stream, bytes, SENTINELS, SENTINEL);
    }
    return new DeviceRange(buffer, 0, bytes);
  }

  public DeviceRange zeros(long bytes) {
    DeviceRange range = room(bytes);
    range.fill(stream, (byte) 0);
    return range;
  }

  public DeviceRange upload(MemorySegment source) {
    DeviceRange range = room(source.byteSize());
    stage(source.byteSize()).segment().copyFrom(source);
    range.upload(stream, staging, 0, source.byteSize());
    stream.synchronize();
    return range;
  }

  public DeviceRange floats(float... values) {
    return upload(MemorySegment.ofArray(values));
  }

  public DeviceRange ints(int... values) {
    return upload(MemorySegment.ofArray(values));
  }

  public DeviceRange shorts(short... values) {
    return upload(MemorySegment.ofArray(values));
  }

  public DeviceRange longs(long... values) {
    return upload(MemorySegment.ofArray(values));
  }

  public DeviceRange halves(float... values) {
    return shorts(toHalves(values));
  }

  /** Halves, NaN in the gap that follows each row. */
  public MatrixRows halfRows(float[] values, int columns) {
    int stride = stride(columns);
    return new MatrixRows(halves(spread(values, columns, stride)), stride);
  }

  /** Floats, NaN in the gap that follows each row. */
  public MatrixRows floatRows(float[] values, int columns) {
    int stride = stride(columns);
    return new MatrixRows(floats(spread(values, columns, stride)), stride);
  }

  /** Room for a result, with a gap after each row but the last. */
  public MatrixRows rows(Element element, int rows, int columns) {
    int stride = stride(columns);
    return new MatrixRows(room(element.bytes() * ((rows - 1L) * stride + columns)), stride);
  }

  private static int stride(int columns) {
    return (columns + 15) / 8 * 8;
  }

  private static float[] spread(float[] values, int columns, int stride) {
    float[] spread = new float[values.length / columns * stride];
    Arrays.fill(spread, Float.NaN);
    for (int from = 0, to = 0; from < values.length; from += columns, to += stride) {
      System.arraycopy(values, from, spread, to, columns);
    }
    return spread;
  }

  static short[] toHalves(float[] values) {
    short[] halves = new short[values.length];
    for (int i = 0; i < values.length; i++) {
      halves[i] = Float.floatToFloat16(values[i]);
    }
    return halves;
  }

  /** Rounded to what a half holds. */
  public static float[] rounded(float[] values) {
    float[] rounded = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      rounded[i] = Float.float16ToFloat(Float.floatToFloat16(values[i]));
    }
    return rounded;
  }

  public static float[] gaussian(Random random, int count, double deviation) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) (deviation * random.nextGaussian());
    }
    return values;
  }

  /** Numbers that halves hold. */
  public static float[] halfGaussian(Random random, int count) {
    return rounded(gaussian(random, count, 1));
  }

  /**
   * What rounding so many values to halves may cost: of one 2^-22 of its square, of many a sixth of
   * that on average.
   */
  static double halfLimit(int values) {
    return values < 1000 ? 2.5e-7 : 1e-7;
  }

  /**
   * Expects rows: squared differences over squares at most {@code limit}, which 0 makes equality.
   */
  public void expect(
      double limit, float[] expected, Element element, MatrixRows found, int columns, String what) {
    int rows = expected.length / columns;
    if (traced != null) {
      traced.expectNow(
          found.data().address(), element, expected, columns, (int) found.stride(), limit);
      return;
    }
    MemorySegment memory = download(found.data());
    double error = 0;
    double squares = 0;
    for (int row = 0; row < rows; row++) {
      for (int column = 0; column < columns; column++) {
        double value = expected[row * columns + column];
        double difference = element.get(memory, row * found.stride() + column) - value;
        error += difference * difference;
        squares += value * value;
      }
    }
    double relative = error == 0 ? 0 : error / squares;
    assertTrue(relative <= limit, () -> what + ": error " + relative + " > " + limit + seed());
    requireGaps(memory, element, found, rows, columns, what);
  }

  /** As {@link #expect}, of rows without gaps. */
  public void expect(
      double limit, float[] expected, Element element, DeviceRange found, String what) {
    expect(limit, expected, element, new MatrixRows(found, expected.length), expected.length, what);
  }

  /** Between rows are still the bits they were filled with: NaN, or as an integer -1. */
  private static void requireGaps(
      MemorySegment memory, Element element, MatrixRows found, int rows, int columns, String what) {
    for (int row = 0; row < rows - 1; row++) {
      for (long i = columns; i < found.stride(); i++) {
        double gap = element.get(memory, row * found.stride() + i);
        int above = row;
        assertTrue(
            Double.isNaN(gap) || gap == -1,
            () -> what + ": " + gap + " behind row " + above + seed());
      }
    }
  }

  /** What a kernel wrote, once the sentinels behind it are seen to be whole. */
  public MemorySegment download(DeviceRange range) {
    long bytes = range.buffer().bytes();
    long end = traced == null ? bytes - SENTINELS : bytes;
    PinnedBuffer target = stage(bytes);
    range.buffer().download(stream, 0, target, 0, bytes);
    stream.synchronize();
    for (long i = end; i < bytes; i++) {
      assertEquals(
          SENTINEL,
          target.segment().get(ValueLayout.JAVA_BYTE, i),
          "written past the end of " + range + seed());
    }
    byte[] copy = new byte[Math.toIntExact(range.bytes())];
    MemorySegment.copy(
        target.segment(), ValueLayout.JAVA_BYTE, range.offset(), copy, 0, copy.length);
    return MemorySegment.ofArray(copy);
  }

  private PinnedBuffer stage(long bytes) {
    if (staging.segment().byteSize() < bytes) {
      staging.close();
      staging = device.allocatePinned(2 * bytes);
    }
    return staging;
  }

  /** Frees a range's memory, where a class makes much of it. */
  public void free(DeviceRange range) {
    range.buffer().close();
  }

  @Override
  public void close() {
    device.close();
    if (traced != null && trace != null) {
      traced.write(trace);
    }
  }
}
