package dev.nibble.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What a call through FFM costs where the function itself does next to nothing: {@code abs} and
 * {@code clock_getres} of the C library, the second of which fills a struct. Needs no GPU.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 5, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(
    value = 3,
    jvmArgsAppend = {"--enable-native-access=ALL-UNNAMED"})
@SuppressWarnings("NullAway.Init") // JMH calls open() first
public class ForeignCalls {
  private static final int CLOCK_MONOTONIC = 1;
  private static final MemoryLayout TIMESPEC =
      MemoryLayout.structLayout(
          ValueLayout.JAVA_LONG.withName("tv_sec"), ValueLayout.JAVA_LONG.withName("tv_nsec"));
  private static final FunctionDescriptor ABS =
      FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT);
  private static final FunctionDescriptor GETRES =
      FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.ADDRESS);
  private static final MethodHandle ABS_PLAIN = find("abs", ABS);
  private static final MethodHandle ABS_CRITICAL = find("abs", ABS, Linker.Option.critical(false));
  private static final MethodHandle GETRES_PLAIN = find("clock_getres", GETRES);
  private static final MethodHandle GETRES_CRITICAL =
      find("clock_getres", GETRES, Linker.Option.critical(false));

  private Arena arena;
  private MemorySegment timespec;
  private int negative = -42;

  /** Makes the struct. */
  @Setup
  public void open() {
    arena = Arena.ofConfined();
    timespec = arena.allocate(TIMESPEC);
  }

  /**
   * The same in Java.
   *
   * @return 42
   */
  @Benchmark
  public int none() {
    return Math.abs(negative);
  }

  /**
   * A plain downcall.
   *
   * @return 42
   * @throws Throwable never
   */
  @Benchmark
  public int plain() throws Throwable {
    return (int) ABS_PLAIN.invokeExact(negative);
  }

  /**
   * A critical downcall, without the change of the thread's state.
   *
   * @return 42
   * @throws Throwable never
   */
  @Benchmark
  public int critical() throws Throwable {
    return (int) ABS_CRITICAL.invokeExact(negative);
  }

  /**
   * A plain downcall that fills a struct.
   *
   * @return 0
   * @throws Throwable never
   */
  @Benchmark
  public int struct() throws Throwable {
    return (int) GETRES_PLAIN.invokeExact(CLOCK_MONOTONIC, timespec);
  }

  /**
   * A critical downcall that fills a struct.
   *
   * @return 0
   * @throws Throwable never
   */
  @Benchmark
  public int structCritical() throws Throwable {
    return (int) GETRES_CRITICAL.invokeExact(CLOCK_MONOTONIC, timespec);
  }

  /** What the struct holds: the clock's resolution. */
  long resolutionNanos() {
    return timespec.get(ValueLayout.JAVA_LONG, Long.BYTES);
  }

  void clear() {
    timespec.fill((byte) 0);
  }

  /** Frees the struct. */
  @TearDown
  public void close() {
    arena.close();
  }

  @SuppressWarnings("restricted")
  private static MethodHandle find(
      String name, FunctionDescriptor function, Linker.Option... options) {
    Linker linker = Linker.nativeLinker();
    return linker.downcallHandle(linker.defaultLookup().findOrThrow(name), function, options);
  }
}
