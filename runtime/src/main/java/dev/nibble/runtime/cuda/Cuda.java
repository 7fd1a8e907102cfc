package dev.nibble.runtime.cuda;

import dev.nibble.bindings.cuda.cuda_constants;

/** Where driver results become exceptions. */
final class Cuda {
  private Cuda() {}

  /**
   * Checks a result.
   *
   * @throws CudaException if it is not CUDA_SUCCESS
   */
  static void check(CudaDriver driver, String function, int code) {
    if (code != cuda_constants.CUDA_SUCCESS()) {
      throw failure(driver, function, code);
    }
  }

  static CudaException failure(CudaDriver driver, String function, int code) {
    String name = driver.errorName(code);
    String text = driver.errorText(code);
    return new CudaException(
        function,
        code,
        name.isEmpty() ? "a code this driver has no name for" : name,
        text.isEmpty() ? "no description" : text);
  }
}
