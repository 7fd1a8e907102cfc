package dev.nibble.bench;

import dev.nibble.bindings.kernels.read_stream_args;
import dev.nibble.bindings.kernels.read_stream_h;
import dev.nibble.kernels.KernelImage;
import dev.nibble.kernels.KernelImages;
import dev.nibble.runtime.cuda.Device;
import dev.nibble.runtime.cuda.DeviceBuffer;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Graph;
import dev.nibble.runtime.cuda.PinnedBuffer;
import dev.nibble.runtime.cuda.Stream;
import dev.nibble.runtime.kernel.KernelCatalog;
import dev.nibble.runtime.kernel.ReadStream;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.TimeUnit;
import jcuda.Pointer;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUfunction;
import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import jcuda.driver.CUmodule;
import jcuda.driver.CUstream;
import jcuda.driver.CUstreamCaptureMode;
import jcuda.driver.JCudaDriver;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What it costs to give the GPU work from Java, through FFM and through JCuda's JNI: a kernel that
 * reads nothing, a graph of {@value #NODES} of them, a copy of {@value #COPY_BYTES} bytes. {@value
 * #CALLS} calls back to back, then a wait, which is part of the time.
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
public class Launches {
  static final int CALLS = 256;
  static final int NODES = 32;
  static final int COPY_BYTES = 4096;

  private Device device;
  private Stream stream;
  private ReadStream kernel;
  private DeviceBuffer memory;
  private DeviceRange nothing;
  private DeviceRange sums;
  private PinnedBuffer pinned;
  private Graph graph;

  private CUstream jniStream;
  private CUfunction jniKernel;
  private Pointer jniArguments;
  private CUdeviceptr jniMemory;
  private Pointer jniPinned;
  private CUgraphExec jniGraph;

  /**
   * Loads the kernel, through both.
   *
   * @throws IOException if its image cannot be read
   */
  @Setup
  public void open() throws IOException {
    device = Device.open(0);
    String architecture = device.properties().imageArchitecture().orElseThrow();
    stream = device.newStream();
    kernel = new ReadStream(new KernelCatalog(device, architecture));
    memory = device.allocate(COPY_BYTES);
    nothing = new DeviceRange(memory, 0, 0);
    sums = DeviceRange.of(memory);
    pinned = device.allocatePinned(COPY_BYTES);
    graph =
        stream.capture(() -> {
          for (int i = 0; i < NODES; i++) {
            kernel.launch(stream, nothing, 1, sums);
          }
        });
    openJni(KernelImages.read(new KernelImage(architecture, ReadStream.IMAGE)));
  }

  /** JCuda works in the context that is current, which is the device's. */
  private void openJni(byte[] image) {
    JCudaDriver.setExceptionsEnabled(true);
    JCudaDriver.cuInit(0);
    CUmodule module = new CUmodule();
    JCudaDriver.cuModuleLoadData(module, image);
    jniKernel = new CUfunction();
    JCudaDriver.cuModuleGetFunction(jniKernel, module, ReadStream.IMAGE);
    jniStream = new CUstream();
    JCudaDriver.cuStreamCreate(jniStream, 1);
    jniMemory = new CUdeviceptr();
    JCudaDriver.cuMemAlloc(jniMemory, COPY_BYTES);
    jniPinned = new Pointer();
    JCudaDriver.cuMemHostAlloc(jniPinned, COPY_BYTES, 0);
    byte[] struct = new byte[Math.toIntExact(read_stream_args.sizeof())];
    jniArguments = Pointer.to(Pointer.to(struct));
    JCudaDriver.cuStreamBeginCapture(
        jniStream, CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
    for (int i = 0; i < NODES; i++) {
      launchOnceJni();
    }
    CUgraph recorded = new CUgraph();
    JCudaDriver.cuStreamEndCapture(jniStream, recorded);
    jniGraph = new CUgraphExec();
    JCudaDriver.cuGraphInstantiate(jniGraph, recorded, 0);
  }

  private void launchOnceJni() {
    JCudaDriver.cuLaunchKernel(
        jniKernel,
        1,
        1,
        1,
        read_stream_h.READ_STREAM_THREADS(),
        1,
        1,
        0,
        jniStream,
        jniArguments,
        null);
  }

  /** Kernels, through FFM. */
  @Benchmark
  @OperationsPerInvocation(CALLS)
  public void launchFfm() {
    for (int i = 0; i < CALLS; i++) {
      kernel.launch(stream, nothing, 1, sums);
    }
    stream.synchronize();
  }

  /** Kernels, through JNI. */
  @Benchmark
  @OperationsPerInvocation(CALLS)
  public void launchJni() {
    for (int i = 0; i < CALLS; i++) {
      launchOnceJni();
    }
    JCudaDriver.cuStreamSynchronize(jniStream);
  }

  /** Graphs, through FFM. */
  @Benchmark
  @OperationsPerInvocation(CALLS)
  public void graphFfm() {
    for (int i = 0; i < CALLS; i++) {
      graph.launch(stream);
    }
    stream.synchronize();
  }

  /** Graphs, through JNI. */
  @Benchmark
  @OperationsPerInvocation(CALLS)
  public void graphJni() {
    for (int i = 0; i < CALLS; i++) {
      JCudaDriver.cuGraphLaunch(jniGraph, jniStream);
    }
    JCudaDriver.cuStreamSynchronize(jniStream);
  }

  /** Copies, through FFM. */
  @Benchmark
  @OperationsPerInvocation(CALLS)
  public void copyFfm() {
    for (int i = 0; i < CALLS; i++) {
      memory.upload(stream, 0, pinned, 0, COPY_BYTES);
    }
    stream.synchronize();
  }

  /** Copies, through JNI. */
  @Benchmark
  @OperationsPerInvocation(CALLS)
  public void copyJni() {
    for (int i = 0; i < CALLS; i++) {
      JCudaDriver.cuMemcpyHtoDAsync(jniMemory, jniPinned, COPY_BYTES, jniStream);
    }
    JCudaDriver.cuStreamSynchronize(jniStream);
  }

  /** What the device holds after a copy of this value, for the test. */
  int copied(int value) {
    pinned.segment().set(ValueLayout.JAVA_INT, 0, value);
    copyFfm();
    pinned.segment().set(ValueLayout.JAVA_INT, 0, ~value);
    memory.download(stream, 0, pinned, 0, Integer.BYTES);
    stream.synchronize();
    return pinned.segment().get(ValueLayout.JAVA_INT, 0);
  }

  /** Frees what FFM and JNI took; the context goes with the device. */
  @TearDown
  public void close() {
    JCudaDriver.cuGraphExecDestroy(jniGraph);
    JCudaDriver.cuMemFreeHost(jniPinned);
    JCudaDriver.cuMemFree(jniMemory);
    JCudaDriver.cuStreamDestroy(jniStream);
    device.close();
  }
}
