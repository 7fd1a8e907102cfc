package dev.nibble.runtime.cuda;

import dev.nibble.bindings.cuda.CUlaunchAttribute;
import dev.nibble.bindings.cuda.CUlaunchAttributeValue;
import dev.nibble.bindings.cuda.CUlaunchConfig;
import dev.nibble.bindings.cuda.cuda_constants;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A kernel that takes one struct. Usable while its library is open, by one thread at a time; a
 * launch allocates nothing off the heap.
 */
public final class Kernel {
  private final KernelLibrary library;
  private final String name;
  private final MemorySegment function;
  private final MemorySegment launch;

  /** Room for the attributes of a launch, one after the other. */
  private final MemorySegment[] attributes = new MemorySegment[3];

  private final MemorySegment parameters;

  Kernel(KernelLibrary library, String name, MemorySegment function) {
    this.library = library;
    this.name = name;
    this.function = function;
    Arena arena = library.arena();
    launch = CUlaunchConfig.allocate(arena);
    MemorySegment room = CUlaunchAttribute.allocateArray(attributes.length, arena);
    for (int i = 0; i < attributes.length; i++) {
      attributes[i] = CUlaunchAttribute.asSlice(room, i);
    }
    CUlaunchConfig.attrs(launch, room);
    parameters = arena.allocate(ValueLayout.ADDRESS);
  }

  /**
   * Room for its struct.
   *
   * @param bytes of the struct
   * @return zeros, there while the library is open
   */
  public MemorySegment newArguments(long bytes) {
    return library.arena().allocate(bytes, Long.BYTES);
  }

  /**
   * Its C name.
   *
   * @return the name
   */
  public String name() {
    return name;
  }

  /**
   * Registers that each of its threads takes.
   *
   * @return registers
   */
  public int registers() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ValueLayout.JAVA_INT);
      library.device.check(
          "cuFuncGetAttribute",
          library
              .driver()
              .cuFuncGetAttribute(out, cuda_constants.CU_FUNC_ATTRIBUTE_NUM_REGS(), function));
      return out.get(ValueLayout.JAVA_INT, 0);
    }
  }

  /**
   * Lets launches ask for more dynamic shared memory than the usual 48 KiB.
   *
   * @param bytes the most of any launch
   */
  public void allowSharedBytes(int bytes) {
    library.device.check(
        "cuFuncSetAttribute",
        library
            .driver()
            .cuFuncSetAttribute(
                function, cuda_constants.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES(), bytes));
  }

  /**
   * Chooses how much of the memory that a multiprocessor has for shared memory and its first-level
   * cache is shared memory. Kernels run beside each other only where they agree.
   *
   * @param percent 0 to 100; the driver rounds up to what there is
   */
  public void preferSharedMemory(int percent) {
    library.device.check(
        "cuFuncSetAttribute",
        library
            .driver()
            .cuFuncSetAttribute(
                function,
                cuda_constants.CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT(),
                percent));
  }

  /**
   * Launches it. Asynchronous with respect to the host; what the kernel does wrong appears at a
   * later call.
   *
   * @param stream runs it
   * @param config grid, block and shared memory
   * @param arguments its struct, off the heap; copied before this returns
   */
  public void launch(Stream stream, LaunchConfig config, MemorySegment arguments) {
    CudaDriver driver = library.driver();
    CUlaunchConfig.gridDimX(launch, config.grid().x());
    CUlaunchConfig.gridDimY(launch, config.grid().y());
    CUlaunchConfig.gridDimZ(launch, config.grid().z());
    CUlaunchConfig.blockDimX(launch, config.block().x());
    CUlaunchConfig.blockDimY(launch, config.block().y());
    CUlaunchConfig.blockDimZ(launch, config.block().z());
    CUlaunchConfig.sharedMemBytes(launch, config.sharedBytes());
    CUlaunchConfig.hStream(launch, stream.handle());
    CUlaunchConfig.numAttrs(launch, setAttributes(config));
    parameters.set(ValueLayout.ADDRESS, 0, arguments);
    library.device.check(
        "cuLaunchKernelEx",
        driver.cuLaunchKernelEx(launch, function, parameters, MemorySegment.NULL));
  }

  /** Writes the attributes that the launch needs, and counts them. */
  private int setAttributes(LaunchConfig config) {
    int count = 0;
    if (config.clustered()) {
      MemorySegment cluster =
          CUlaunchAttributeValue.clusterDim(
              attribute(count++, cuda_constants.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION()));
      CUlaunchAttributeValue.clusterDim.x(cluster, config.cluster().x());
      CUlaunchAttributeValue.clusterDim.y(cluster, config.cluster().y());
      CUlaunchAttributeValue.clusterDim.z(cluster, config.cluster().z());
    }
    if (config.sharedPercent() != LaunchConfig.KERNELS_OWN) {
      CUlaunchAttributeValue.sharedMemCarveout(
          attribute(count++, cuda_constants.CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT()),
          config.sharedPercent());
    }
    if (config.start() == LaunchConfig.Start.WHEN_PREVIOUS_ALLOWS) {
      CUlaunchAttributeValue.programmaticStreamSerializationAllowed(
          attribute(
              count++, cuda_constants.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION()),
          1);
    }
    return count;
  }

  private MemorySegment attribute(int index, int id) {
    CUlaunchAttribute.id(attributes[index], id);
    return CUlaunchAttribute.value(attributes[index]);
  }
}
