package dev.nibble.bench;

import dev.nibble.bindings.cuda.CUuuid;
import dev.nibble.bindings.cuda.cuda_h;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.concurrent.TimeUnit;
import jcuda.driver.CUdevice;
import jcuda.driver.JCudaDriver;
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
 * The same calls of the CUDA driver through FFM, plain and critical, and through JCuda's JNI:
 * {@code cuDriverGetVersion}, which does next to nothing, and {@code cuDeviceGetUuid}, which fills
 * a struct. Needs a driver and a GPU.
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
public class DriverCalls {
  private Arena arena;
  private MemorySegment number;
  private MemorySegment uuid;
  private int device;
  private int[] jniNumber;
  private jcuda.driver.CUuuid jniUuid;
  private CUdevice jniDevice;

  /** Critical handles; in a class of their own as there may be no driver to find them in. */
  private static final class Critical {
    static final MethodHandle VERSION =
        find(
            "cuDriverGetVersion", FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS));
    static final MethodHandle UUID =
        find(
            "cuDeviceGetUuid_v2",
            FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_INT));

    private Critical() {}

    @SuppressWarnings("restricted")
    private static MethodHandle find(String name, FunctionDescriptor function) {
      return Linker.nativeLinker()
          .downcallHandle(
              SymbolLookup.libraryLookup("libcuda.so.1", Arena.global()).findOrThrow(name),
              function,
              Linker.Option.critical(false));
    }
  }

  /** Starts the driver. */
  @Setup
  public void open() {
    arena = Arena.ofConfined();
    number = arena.allocate(ValueLayout.JAVA_INT);
    uuid = CUuuid.allocate(arena);
    check(cuda_h.cuInit(0));
    check(cuda_h.cuDeviceGet(number, 0));
    device = number.get(ValueLayout.JAVA_INT, 0);
    JCudaDriver.setExceptionsEnabled(true);
    jniNumber = new int[1];
    jniUuid = new jcuda.driver.CUuuid();
    jniDevice = new CUdevice();
    JCudaDriver.cuInit(0);
    JCudaDriver.cuDeviceGet(jniDevice, 0);
  }

  /**
   * The version, through FFM.
   *
   * @return 0
   */
  @Benchmark
  public int versionPlain() {
    return cuda_h.cuDriverGetVersion(number);
  }

  /**
   * The version, through a critical call.
   *
   * @return 0
   * @throws Throwable never
   */
  @Benchmark
  public int versionCritical() throws Throwable {
    return (int) Critical.VERSION.invokeExact(number);
  }

  /**
   * The version, through JNI.
   *
   * @return 0
   */
  @Benchmark
  public int versionJni() {
    return JCudaDriver.cuDriverGetVersion(jniNumber);
  }

  /**
   * A struct, through FFM.
   *
   * @return 0
   */
  @Benchmark
  public int structPlain() {
    return cuda_h.cuDeviceGetUuid_v2(uuid, device);
  }

  /**
   * A struct, through a critical call.
   *
   * @return 0
   * @throws Throwable never
   */
  @Benchmark
  public int structCritical() throws Throwable {
    return (int) Critical.UUID.invokeExact(uuid, device);
  }

  /**
   * A struct, through JNI.
   *
   * @return 0
   */
  @Benchmark
  public int structJni() {
    return JCudaDriver.cuDeviceGetUuid(jniUuid, jniDevice);
  }

  /** The version that FFM read last. */
  int version() {
    return number.get(ValueLayout.JAVA_INT, 0);
  }

  /** The version that JNI read last. */
  int jniVersion() {
    return jniNumber[0];
  }

  /** Frees the memory. */
  @TearDown
  public void close() {
    arena.close();
  }

  private static void check(int result) {
    if (result != 0) {
      throw new IllegalStateException("CUDA driver: error " + result);
    }
  }
}
