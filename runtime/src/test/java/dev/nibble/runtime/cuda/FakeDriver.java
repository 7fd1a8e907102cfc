package dev.nibble.runtime.cuda;

import dev.nibble.bindings.cuda.CUlaunchAttribute;
import dev.nibble.bindings.cuda.CUlaunchConfig;
import dev.nibble.bindings.cuda.cuda_constants;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.LongConsumer;

/**
 * A driver of H200s that can be told to fail its n-th call. It remembers what was called and which
 * handles live, gives device memory that copies really reach, and refuses handles that do not live.
 */
class FakeDriver implements CudaDriver {
  static final long MEMORY_BYTES = 150_000_000_000L;
  private static final int SUCCESS = cuda_constants.CUDA_SUCCESS();
  private static final int INVALID = cuda_constants.CUDA_ERROR_INVALID_VALUE();

  /** One launch. */
  record Launch(String kernel, Dim3 grid, Dim3 block, int sharedBytes, List<Integer> attributes) {}

  private final List<String> calls = new ArrayList<>();
  private final List<Launch> launches = new ArrayList<>();
  private final Map<Long, String> handles = new TreeMap<>();
  private final Map<Long, MemorySegment> memory = new HashMap<>();
  private final Map<Long, String> kernels = new HashMap<>();
  private final Arena arena = Arena.ofAuto();
  private final int failingCall;
  private final int failure;
  private final int version;
  private final int devices;
  private long nextHandle;
  private long freeBytes = MEMORY_BYTES / 3;
  private boolean capturing;

  private FakeDriver(int version, int devices, int failingCall, int failure) {
    this(version, devices, failingCall, failure, 0);
  }

  /** A sound driver whose handles and addresses lie behind a number. */
  FakeDriver(long firstHandle) {
    this(cuda_constants.CUDA_VERSION(), 1, Integer.MAX_VALUE, 0, firstHandle);
  }

  private FakeDriver(int version, int devices, int failingCall, int failure, long firstHandle) {
    nextHandle = firstHandle;
    this.version = version;
    this.devices = devices;
    this.failingCall = failingCall;
    this.failure = failure;
  }

  static FakeDriver of(int version, int devices) {
    return new FakeDriver(version, devices, Integer.MAX_VALUE, 0);
  }

  static FakeDriver failing(int call, int failure) {
    return new FakeDriver(cuda_constants.CUDA_VERSION(), 1, call, failure);
  }

  /** Sets what is told to be free; it can be allocated all the same. */
  void setFreeBytes(long bytes) {
    freeBytes = bytes;
  }

  /** The names of the functions called so far, in order. */
  List<String> calls() {
    return calls;
  }

  List<Launch> launches() {
    return launches;
  }

  /** The kinds of the handles that live. */
  List<String> live() {
    return List.copyOf(handles.values());
  }

  private boolean fails(String function) {
    calls.add(function);
    return calls.size() - 1 == failingCall;
  }

  private int plain(String function) {
    return fails(function) ? failure : SUCCESS;
  }

  private int set(String function, MemorySegment out, int value) {
    if (fails(function)) {
      return failure;
    }
    out.set(ValueLayout.JAVA_INT, 0, value);
    return SUCCESS;
  }

  private int make(String function, String kind, MemorySegment out) {
    return make(function, kind, out, _ -> {});
  }

  private int make(String function, String kind, MemorySegment out, LongConsumer made) {
    if (fails(function)) {
      return failure;
    }
    long handle = nextHandle += 0x1000;
    handles.put(handle, kind);
    made.accept(handle);
    out.set(ValueLayout.JAVA_LONG, 0, handle);
    return SUCCESS;
  }

  /** Frees the handle even when it is told to fail, as the driver does. */
  private int unmake(String function, String kind, long handle) {
    boolean fails = fails(function);
    if (!handles.remove(handle, kind)) {
      return cuda_constants.CUDA_ERROR_INVALID_HANDLE();
    }
    return fails ? failure : SUCCESS;
  }

  private int use(String function, String kind, MemorySegment handle) {
    if (fails(function)) {
      return failure;
    }
    return kind.equals(handles.get(handle.address()))
        ? SUCCESS
        : cuda_constants.CUDA_ERROR_INVALID_HANDLE();
  }

  /** The device memory at an address, empty if it is not all of one allocation. */
  final MemorySegment at(long address, long bytes) {
    for (Map.Entry<Long, MemorySegment> entry : memory.entrySet()) {
      long offset = address - entry.getKey();
      if (offset >= 0 && offset + bytes <= entry.getValue().byteSize()) {
        return entry.getValue().asSlice(offset, bytes);
      }
    }
    return MemorySegment.NULL;
  }

  private int copy(
      String function, MemorySegment to, MemorySegment from, long bytes, MemorySegment stream) {
    int result = use(function, "stream", stream);
    if (result != SUCCESS) {
      return result;
    }
    if (to.byteSize() != bytes || from.byteSize() != bytes) {
      return INVALID;
    }
    to.copyFrom(from);
    return SUCCESS;
  }

  @Override
  public int cuInit(int flags) {
    if (fails("cuInit")) {
      return failure;
    }
    return devices == 0 ? cuda_constants.CUDA_ERROR_NO_DEVICE() : SUCCESS;
  }

  @Override
  public int cuDriverGetVersion(MemorySegment out) {
    return set("cuDriverGetVersion", out, version);
  }

  @Override
  public String errorName(int code) {
    return code == 12345 ? "" : "NAME_" + code;
  }

  @Override
  public String errorText(int code) {
    return code == 12345 ? "" : "text of " + code;
  }

  @Override
  public int cuDeviceGetCount(MemorySegment out) {
    return set("cuDeviceGetCount", out, devices);
  }

  @Override
  public int cuDeviceGet(MemorySegment out, int ordinal) {
    return set("cuDeviceGet", out, ordinal);
  }

  @Override
  public int cuDeviceGetName(MemorySegment name, int bytes, int device) {
    if (fails("cuDeviceGetName")) {
      return failure;
    }
    name.asSlice(0, bytes).setString(0, "NVIDIA H200");
    return SUCCESS;
  }

  @Override
  public int cuDeviceGetUuid(MemorySegment uuid, int device) {
    if (fails("cuDeviceGetUuid")) {
      return failure;
    }
    for (int i = 0; i < 16; i++) {
      uuid.set(ValueLayout.JAVA_BYTE, i, (byte) (0xa0 + i));
    }
    return SUCCESS;
  }

  @Override
  public int cuDeviceTotalMem(MemorySegment bytes, int device) {
    if (fails("cuDeviceTotalMem")) {
      return failure;
    }
    bytes.set(ValueLayout.JAVA_LONG, 0, MEMORY_BYTES);
    return SUCCESS;
  }

  @Override
  public int cuDeviceGetAttribute(MemorySegment out, int attribute, int device) {
    int value;
    if (attribute == cuda_constants.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR()) {
      value = 9;
    } else if (attribute == cuda_constants.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR()) {
      value = 0;
    } else if (attribute == cuda_constants.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT()) {
      value = 132;
    } else if (attribute == cuda_constants.CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE()) {
      value = 60 << 20;
    } else if (attribute
        == cuda_constants.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN()) {
      value = 232_448;
    } else {
      return INVALID;
    }
    return set("cuDeviceGetAttribute", out, value);
  }

  @Override
  public int cuDevicePrimaryCtxRetain(MemorySegment context, int device) {
    return make("cuDevicePrimaryCtxRetain", "context", context);
  }

  @Override
  public int cuDevicePrimaryCtxRelease(int device) {
    boolean fails = fails("cuDevicePrimaryCtxRelease");
    if (!handles.values().remove("context")) {
      return cuda_constants.CUDA_ERROR_INVALID_CONTEXT();
    }
    return fails ? failure : SUCCESS;
  }

  @Override
  public int cuCtxSetCurrent(MemorySegment context) {
    return use("cuCtxSetCurrent", "context", context);
  }

  @Override
  public int cuCtxSynchronize() {
    return plain("cuCtxSynchronize");
  }

  @Override
  public int cuMemGetInfo(MemorySegment free, MemorySegment total) {
    if (fails("cuMemGetInfo")) {
      return failure;
    }
    free.set(ValueLayout.JAVA_LONG, 0, freeBytes);
    total.set(ValueLayout.JAVA_LONG, 0, MEMORY_BYTES);
    return SUCCESS;
  }

  @Override
  public int cuMemAlloc(MemorySegment address, long bytes) {
    return make(
        "cuMemAlloc",
        "memory",
        address,
        made -> {
          memory.put(made, arena.allocate(bytes, 16));
          // What is allocated next lies behind it.
          nextHandle += (bytes + 0xfff) & ~0xfffL;
        });
  }

  @Override
  public int cuMemFree(long address) {
    memory.remove(address);
    return unmake("cuMemFree", "memory", address);
  }

  @Override
  public int cuMemHostAlloc(MemorySegment pointer, long bytes, int flags) {
    if (fails("cuMemHostAlloc")) {
      return failure;
    }
    MemorySegment block = arena.allocate(bytes, 16);
    handles.put(block.address(), "pinned");
    pointer.set(ValueLayout.ADDRESS, 0, block);
    return SUCCESS;
  }

  @Override
  public int cuMemFreeHost(MemorySegment pointer) {
    return unmake("cuMemFreeHost", "pinned", pointer.address());
  }

  @Override
  public int cuMemcpyHtoDAsync(long to, MemorySegment from, long bytes, MemorySegment stream) {
    return copy("cuMemcpyHtoDAsync", at(to, bytes), from, bytes, stream);
  }

  @Override
  public int cuMemcpyDtoHAsync(MemorySegment to, long from, long bytes, MemorySegment stream) {
    return copy("cuMemcpyDtoHAsync", to, at(from, bytes), bytes, stream);
  }

  @Override
  public int cuMemcpyDtoDAsync(long to, long from, long bytes, MemorySegment stream) {
    return copy("cuMemcpyDtoDAsync", at(to, bytes), at(from, bytes), bytes, stream);
  }

  @Override
  public int cuMemsetD8Async(long to, byte value, long bytes, MemorySegment stream) {
    int result = use("cuMemsetD8Async", "stream", stream);
    if (result == SUCCESS) {
      at(to, bytes).fill(value);
    }
    return result;
  }

  @Override
  public int cuStreamCreate(MemorySegment stream, int flags) {
    return make("cuStreamCreate", "stream", stream);
  }

  @Override
  public int cuStreamDestroy(MemorySegment stream) {
    return unmake("cuStreamDestroy", "stream", stream.address());
  }

  @Override
  public int cuStreamSynchronize(MemorySegment stream) {
    return use("cuStreamSynchronize", "stream", stream);
  }

  @Override
  public int cuStreamWaitEvent(MemorySegment stream, MemorySegment event, int flags) {
    int result = use("cuStreamWaitEvent", "stream", stream);
    return result == SUCCESS && !"event".equals(handles.get(event.address())) ? INVALID : result;
  }

  @Override
  public int cuStreamBeginCapture(MemorySegment stream, int mode) {
    int result = use("cuStreamBeginCapture", "stream", stream);
    if (result == SUCCESS) {
      capturing = true;
    }
    return result;
  }

  @Override
  public int cuStreamEndCapture(MemorySegment stream, MemorySegment graph) {
    if (!capturing) {
      return INVALID;
    }
    capturing = false;
    return make("cuStreamEndCapture", "graph", graph);
  }

  @Override
  public int cuEventCreate(MemorySegment event, int flags) {
    return make("cuEventCreate", "event", event);
  }

  @Override
  public int cuEventDestroy(MemorySegment event) {
    return unmake("cuEventDestroy", "event", event.address());
  }

  @Override
  public int cuEventRecord(MemorySegment event, MemorySegment stream) {
    return use("cuEventRecord", "event", event);
  }

  @Override
  public int cuEventSynchronize(MemorySegment event) {
    return use("cuEventSynchronize", "event", event);
  }

  @Override
  public int cuEventElapsedTime(
      MemorySegment milliseconds, MemorySegment start, MemorySegment end) {
    int result = use("cuEventElapsedTime", "event", start);
    if (result == SUCCESS) {
      milliseconds.set(ValueLayout.JAVA_FLOAT, 0, 1.5f);
    }
    return result;
  }

  @Override
  public int cuLibraryLoadData(MemorySegment library, MemorySegment image) {
    return make("cuLibraryLoadData", "library", library);
  }

  @Override
  public int cuLibraryUnload(MemorySegment library) {
    return unmake("cuLibraryUnload", "library", library.address());
  }

  @Override
  public int cuLibraryGetKernel(MemorySegment kernel, MemorySegment library, MemorySegment name) {
    int result = use("cuLibraryGetKernel", "library", library);
    if (result != SUCCESS) {
      return result;
    }
    long handle = nextHandle += 0x1000;
    kernels.put(handle, name.getString(0));
    kernel.set(ValueLayout.JAVA_LONG, 0, handle);
    return SUCCESS;
  }

  @Override
  public int cuKernelGetFunction(MemorySegment function, MemorySegment kernel) {
    if (fails("cuKernelGetFunction")) {
      return failure;
    }
    function.set(ValueLayout.ADDRESS, 0, kernel);
    return SUCCESS;
  }

  @Override
  public int cuFuncLoad(MemorySegment function) {
    return plain("cuFuncLoad");
  }

  @Override
  public int cuFuncGetAttribute(MemorySegment value, int attribute, MemorySegment function) {
    return set("cuFuncGetAttribute", value, 39);
  }

  @Override
  public int cuFuncSetAttribute(MemorySegment function, int attribute, int value) {
    return plain("cuFuncSetAttribute");
  }

  @Override
  @SuppressWarnings("restricted")
  public int cuLaunchKernelEx(
      MemorySegment config, MemorySegment function, MemorySegment arguments, MemorySegment extra) {
    int result = use("cuLaunchKernelEx", "stream", CUlaunchConfig.hStream(config));
    if (result != SUCCESS) {
      return result;
    }
    List<Integer> attributes = new ArrayList<>();
    int count = CUlaunchConfig.numAttrs(config);
    MemorySegment listed =
        CUlaunchConfig.attrs(config).reinterpret(count * CUlaunchAttribute.sizeof());
    for (int i = 0; i < count; i++) {
      attributes.add(CUlaunchAttribute.id(CUlaunchAttribute.asSlice(listed, i)));
    }
    launches.add(
        new Launch(
            kernels.getOrDefault(function.address(), "unknown"),
            new Dim3(
                CUlaunchConfig.gridDimX(config),
                CUlaunchConfig.gridDimY(config),
                CUlaunchConfig.gridDimZ(config)),
            new Dim3(
                CUlaunchConfig.blockDimX(config),
                CUlaunchConfig.blockDimY(config),
                CUlaunchConfig.blockDimZ(config)),
            CUlaunchConfig.sharedMemBytes(config),
            attributes));
    return SUCCESS;
  }

  @Override
  public int cuGraphInstantiateWithFlags(
      MemorySegment executable, MemorySegment graph, long flags) {
    return "graph".equals(handles.get(graph.address()))
        ? make("cuGraphInstantiateWithFlags", "executable", executable)
        : INVALID;
  }

  @Override
  public int cuGraphDestroy(MemorySegment graph) {
    return unmake("cuGraphDestroy", "graph", graph.address());
  }

  @Override
  public int cuGraphExecDestroy(MemorySegment executable) {
    return unmake("cuGraphExecDestroy", "executable", executable.address());
  }

  @Override
  public int cuGraphLaunch(MemorySegment executable, MemorySegment stream) {
    return use("cuGraphLaunch", "executable", executable);
  }
}
