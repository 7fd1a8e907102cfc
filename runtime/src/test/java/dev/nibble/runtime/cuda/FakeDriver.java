package dev.nibble.runtime.cuda;

import dev.nibble.bindings.cuda.cuda_constants;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/** A driver of H200s that can be told to fail its n-th call, and that remembers what was called. */
final class FakeDriver implements CudaDriver {
  static final long MEMORY_BYTES = 150_000_000_000L;

  private final List<String> calls = new ArrayList<>();
  private final int failingCall;
  private final int failure;
  private final int version;
  private final int devices;

  private FakeDriver(int version, int devices, int failingCall, int failure) {
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

  /** The names of the functions called so far, in order. */
  List<String> calls() {
    return calls;
  }

  private boolean fails(String function) {
    calls.add(function);
    return calls.size() - 1 == failingCall;
  }

  private int set(String function, MemorySegment out, int value) {
    if (fails(function)) {
      return failure;
    }
    out.set(ValueLayout.JAVA_INT, 0, value);
    return cuda_constants.CUDA_SUCCESS();
  }

  @Override
  public int cuInit(int flags) {
    if (fails("cuInit")) {
      return failure;
    }
    return devices == 0 ? cuda_constants.CUDA_ERROR_NO_DEVICE() : cuda_constants.CUDA_SUCCESS();
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
    return cuda_constants.CUDA_SUCCESS();
  }

  @Override
  public int cuDeviceGetUuid(MemorySegment uuid, int device) {
    if (fails("cuDeviceGetUuid")) {
      return failure;
    }
    for (int i = 0; i < 16; i++) {
      uuid.set(ValueLayout.JAVA_BYTE, i, (byte) (0xa0 + i));
    }
    return cuda_constants.CUDA_SUCCESS();
  }

  @Override
  public int cuDeviceTotalMem(MemorySegment bytes, int device) {
    if (fails("cuDeviceTotalMem")) {
      return failure;
    }
    bytes.set(ValueLayout.JAVA_LONG, 0, MEMORY_BYTES);
    return cuda_constants.CUDA_SUCCESS();
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
      return cuda_constants.CUDA_ERROR_INVALID_VALUE();
    }
    return set("cuDeviceGetAttribute", out, value);
  }
}
