package dev.nibble.runtime.cuda;

import dev.nibble.bindings.cuda.cuda_constants;
import java.util.Set;

/** A driver function failed. The message is one line: function, name, code and text. */
public final class CudaException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** The driver's manual says of each that only a new process can use the device again. */
  private static final Set<Integer> STICKY =
      Set.of(
          cuda_constants.CUDA_ERROR_DEINITIALIZED(),
          cuda_constants.CUDA_ERROR_ECC_UNCORRECTABLE(),
          cuda_constants.CUDA_ERROR_NVLINK_UNCORRECTABLE(),
          cuda_constants.CUDA_ERROR_CONTAINED(),
          cuda_constants.CUDA_ERROR_ILLEGAL_ADDRESS(),
          cuda_constants.CUDA_ERROR_LAUNCH_TIMEOUT(),
          cuda_constants.CUDA_ERROR_CONTEXT_IS_DESTROYED(),
          cuda_constants.CUDA_ERROR_ASSERT(),
          cuda_constants.CUDA_ERROR_HARDWARE_STACK_ERROR(),
          cuda_constants.CUDA_ERROR_ILLEGAL_INSTRUCTION(),
          cuda_constants.CUDA_ERROR_MISALIGNED_ADDRESS(),
          cuda_constants.CUDA_ERROR_INVALID_ADDRESS_SPACE(),
          cuda_constants.CUDA_ERROR_INVALID_PC(),
          cuda_constants.CUDA_ERROR_LAUNCH_FAILED(),
          cuda_constants.CUDA_ERROR_TENSOR_MEMORY_LEAK());

  private final String function;
  private final int code;
  private final String name;
  private final String text;

  CudaException(String function, int code, String name, String text) {
    this.function = function;
    this.code = code;
    this.name = name;
    this.text = text;
  }

  /** The failure that lost a device, for a later use of it. */
  CudaException(CudaException earlier) {
    super(earlier);
    this.function = earlier.function;
    this.code = earlier.code;
    this.name = earlier.name;
    this.text = earlier.text;
  }

  @Override
  public String getMessage() {
    return function + " failed: " + name + " (" + code + "), " + text;
  }

  /**
   * What failed.
   *
   * @return the C function's name
   */
  public String function() {
    return function;
  }

  /**
   * The driver's result.
   *
   * @return the CUresult
   */
  public int code() {
    return code;
  }

  /**
   * The result's name.
   *
   * @return such as {@code CUDA_ERROR_OUT_OF_MEMORY}
   */
  public String name() {
    return name;
  }

  /**
   * The driver's sentence about it.
   *
   * @return the text
   */
  public String text() {
    return text;
  }

  /**
   * Whether the device is lost to this process: every later call would fail with the same code.
   *
   * @return true if so
   */
  public boolean isSticky() {
    return STICKY.contains(code);
  }
}
