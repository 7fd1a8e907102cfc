package dev.nibble.runtime.cuda;

import dev.nibble.bindings.cuda.CUlaunchAttribute;
import dev.nibble.bindings.cuda.CUlaunchAttributeValue;
import dev.nibble.bindings.cuda.CUlaunchConfig;
import dev.nibble.bindings.cuda.cuda_constants;
import dev.nibble.bindings.kernels.act_quant_args;
import dev.nibble.bindings.kernels.activation_args;
import dev.nibble.bindings.kernels.attention_decode_args;
import dev.nibble.bindings.kernels.attention_prefill_args;
import dev.nibble.bindings.kernels.dense_gemv_args;
import dev.nibble.bindings.kernels.embedding_args;
import dev.nibble.bindings.kernels.gemm_args;
import dev.nibble.bindings.kernels.gemm_tile_args;
import dev.nibble.bindings.kernels.gemv_args;
import dev.nibble.bindings.kernels.kv_stage_args;
import dev.nibble.bindings.kernels.outlier_columns_args;
import dev.nibble.bindings.kernels.read_stream_args;
import dev.nibble.bindings.kernels.rope_append_args;
import dev.nibble.bindings.kernels.row_norm_args;
import dev.nibble.bindings.kernels.row_sums_args;
import dev.nibble.bindings.kernels.sample_args;
import dev.nibble.bindings.kernels.skinny_args;
import dev.nibble.bindings.kernels.x_split_args;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.function.IntSupplier;

/**
 * A driver that runs nothing and writes down what it is asked to do, graphs as often as they are
 * launched. Device addresses begin with a number that a program which replays the trace can tell
 * from others.
 */
final class TracingDriver extends CapturingDriver {
  /** The upper 16 bits of every device address. */
  private static final long TAG = 0x4e49L << 48;

  private static final Map<String, Long> ARGUMENT_BYTES =
      Map.ofEntries(
          Map.entry("act_quant", act_quant_args.sizeof()),
          Map.entry("activation", activation_args.sizeof()),
          Map.entry("attention_decode", attention_decode_args.sizeof()),
          Map.entry("attention_prefill", attention_prefill_args.sizeof()),
          Map.entry("dense_gemv", dense_gemv_args.sizeof()),
          Map.entry("embedding", embedding_args.sizeof()),
          Map.entry("gemm", gemm_args.sizeof()),
          Map.entry("gemm_tile", gemm_tile_args.sizeof()),
          Map.entry("gemv", gemv_args.sizeof()),
          Map.entry("kv_stage", kv_stage_args.sizeof()),
          Map.entry("outlier_columns", outlier_columns_args.sizeof()),
          Map.entry("read_stream", read_stream_args.sizeof()),
          Map.entry("rope_append", rope_append_args.sizeof()),
          Map.entry("row_norm", row_norm_args.sizeof()),
          Map.entry("row_sums", row_sums_args.sizeof()),
          Map.entry("sample", sample_args.sizeof()),
          Map.entry("skinny", skinny_args.sizeof()),
          Map.entry("x_split", x_split_args.sizeof()));

  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Expectation(float[] values, int columns, int stride, double limit) {
    long bytes() {
      return (long) Float.BYTES * stride * (values.length / columns);
    }
  }

  /** Memory of the host, and the device's that takes its place where kernels write to it. */
  private record Pinned(long bytes, long replacement) {}

  private record Function(String image, String kernel) {}

  private final LaunchTrace trace = new LaunchTrace();
  private final Deque<Expectation> expectations = new ArrayDeque<>();
  private final Map<Long, String> images = new HashMap<>();
  private final Map<Long, Function> functions = new HashMap<>();
  private final TreeMap<Long, Pinned> pinned = new TreeMap<>();

  TracingDriver() {
    super(TAG);
  }

  LaunchTrace trace() {
    return trace;
  }

  /** The next download of so many rows must give these. */
  void expect(float[] values, int columns, int stride, double limit) {
    expectations.add(new Expectation(values, columns, stride, limit));
  }

  /** Expectations that no download has met. */
  int open() {
    return expectations.size();
  }

  @Override
  int enqueue(IntSupplier operation) {
    return operation.getAsInt();
  }

  private void write(Runnable operation) {
    var _ =
        add(() -> {
          operation.run();
          return cuda_constants.CUDA_SUCCESS();
        });
  }

  private static long made(MemorySegment out) {
    return out.get(ValueLayout.JAVA_LONG, 0);
  }

  @Override
  public int cuMemAlloc(MemorySegment address, long bytes) {
    int result = super.cuMemAlloc(address, bytes);
    trace.allocate(made(address), bytes);
    return result;
  }

  @Override
  public int cuMemHostAlloc(MemorySegment pointer, long bytes, int flags) {
    int result = super.cuMemHostAlloc(pointer, bytes, flags);
    pinned.put(made(pointer), new Pinned(bytes, 0));
    return result;
  }

  /** Where the trace is replayed there is no pinned memory: kernels get the device's. */
  private void replacePinned(byte[] struct) {
    MemorySegment words = MemorySegment.ofArray(struct);
    for (long at = 0; at < struct.length; at += Long.BYTES) {
      long word = words.get(ValueLayout.JAVA_LONG_UNALIGNED, at);
      Map.Entry<Long, Pinned> block = pinned.floorEntry(word);
      if (block == null || word - block.getKey() >= block.getValue().bytes) {
        continue;
      }
      long replacement = block.getValue().replacement;
      if (replacement == 0) {
        MemorySegment out = MemorySegment.ofArray(new long[1]);
        cuMemAlloc(out, block.getValue().bytes);
        replacement = made(out);
        pinned.put(block.getKey(), new Pinned(block.getValue().bytes, replacement));
      }
      words.set(ValueLayout.JAVA_LONG_UNALIGNED, at, replacement + (word - block.getKey()));
    }
  }

  @Override
  public int cuMemcpyHtoDAsync(long to, MemorySegment from, long bytes, MemorySegment stream) {
    write(() -> trace.upload(to, from.asSlice(0, bytes).toArray(ValueLayout.JAVA_BYTE)));
    return super.cuMemcpyHtoDAsync(to, from, bytes, stream);
  }

  @Override
  public int cuMemcpyDtoHAsync(MemorySegment to, long from, long bytes, MemorySegment stream) {
    Expectation next = expectations.peek();
    if (next != null && next.bytes() == bytes) {
      expectations.remove();
      trace.expect(from, Element.FLOAT, next.values, next.columns, next.stride, next.limit);
    }
    return super.cuMemcpyDtoHAsync(to, from, bytes, stream);
  }

  @Override
  public int cuMemcpyDtoDAsync(long to, long from, long bytes, MemorySegment stream) {
    write(() -> trace.copy(to, from, bytes));
    return super.cuMemcpyDtoDAsync(to, from, bytes, stream);
  }

  @Override
  public int cuMemsetD8Async(long to, byte value, long bytes, MemorySegment stream) {
    write(() -> trace.fill(to, value & 0xff, bytes));
    return super.cuMemsetD8Async(to, value, bytes, stream);
  }

  @Override
  @SuppressWarnings("restricted")
  public int cuLibraryLoadData(MemorySegment library, MemorySegment image) {
    int result = super.cuLibraryLoadData(library, image);
    images.put(made(library), image.reinterpret(Long.MAX_VALUE).getString(0));
    return result;
  }

  @Override
  public int cuLibraryGetKernel(MemorySegment kernel, MemorySegment library, MemorySegment name) {
    int result = super.cuLibraryGetKernel(kernel, library, name);
    String image = Objects.requireNonNull(images.get(library.address()));
    functions.put(made(kernel), new Function(image, name.getString(0)));
    return result;
  }

  @Override
  @SuppressWarnings("restricted")
  public int cuLaunchKernelEx(
      MemorySegment config, MemorySegment function, MemorySegment arguments, MemorySegment extra) {
    Function launched = Objects.requireNonNull(functions.get(function.address()));
    String kind = launched.image.replaceAll("_(w\\d|a16|a8)$", "");
    long bytes = Objects.requireNonNull(ARGUMENT_BYTES.get(kind), kind);
    byte[] struct =
        arguments
            .reinterpret(ValueLayout.ADDRESS.byteSize())
            .get(ValueLayout.ADDRESS, 0)
            .reinterpret(bytes)
            .toArray(ValueLayout.JAVA_BYTE);
    replacePinned(struct);
    Dim3 grid =
        new Dim3(
            CUlaunchConfig.gridDimX(config),
            CUlaunchConfig.gridDimY(config),
            CUlaunchConfig.gridDimZ(config));
    Dim3 block =
        new Dim3(
            CUlaunchConfig.blockDimX(config),
            CUlaunchConfig.blockDimY(config),
            CUlaunchConfig.blockDimZ(config));
    int shared = CUlaunchConfig.sharedMemBytes(config);
    Dim3 cluster = Dim3.of(1);
    long early = 0;
    int count = CUlaunchConfig.numAttrs(config);
    MemorySegment attributes =
        CUlaunchConfig.attrs(config).reinterpret(count * CUlaunchAttribute.sizeof());
    for (int i = 0; i < count; i++) {
      MemorySegment attribute = CUlaunchAttribute.asSlice(attributes, i);
      if (CUlaunchAttribute.id(attribute)
          == cuda_constants.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION()) {
        MemorySegment size = CUlaunchAttributeValue.clusterDim(CUlaunchAttribute.value(attribute));
        cluster =
            new Dim3(
                CUlaunchAttributeValue.clusterDim.x(size),
                CUlaunchAttributeValue.clusterDim.y(size),
                CUlaunchAttributeValue.clusterDim.z(size));
      } else {
        early = 1;
      }
    }
    Dim3 clusters = cluster;
    long mayStartEarly = early;
    write(() ->
        trace.launch(
            launched.image, launched.kernel, grid, block, clusters, shared, mayStartEarly, struct));
    return super.cuLaunchKernelEx(config, function, arguments, extra);
  }
}
