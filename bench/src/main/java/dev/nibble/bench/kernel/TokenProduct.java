package dev.nibble.bench.kernel;

import dev.nibble.runtime.kernel.DeviceWeights;

/**
 * Products of a number of tokens as the engine does them: what makes the input, then the kernel.
 */
sealed interface TokenProduct permits StreamedProduct, SplitProduct, CodedProduct, TiledProduct {
  /** Name of the kernel. */
  String name();

  /** Names of the kernels that make its input from fp16 rows; empty if it reads those. */
  String inputKernels();

  /** Makes the input. */
  void makeInput();

  /** Multiplies. */
  void multiply(DeviceWeights weights);
}
