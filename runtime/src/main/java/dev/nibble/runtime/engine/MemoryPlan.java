package dev.nibble.runtime.engine;

import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.runtime.cache.KvCache;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;

/**
 * Memory an engine takes.
 *
 * @param contextLength positions a sequence holds
 * @param sequences sequences open at once
 * @param weightBytes all tensors
 * @param kvBytesPerToken keys and values of one position, all layers
 * @param workspaceBytes activations of a step
 */
public record MemoryPlan(
    int contextLength, int sequences, long weightBytes, long kvBytesPerToken, long workspaceBytes) {
  /**
   * Plans an engine on the CPU.
   *
   * @param weights the model
   * @param options context and sequences
   * @return the plan
   * @throws IllegalArgumentException if the options do not fit the model
   */
  public static MemoryPlan of(ModelWeights weights, ModelOptions options) {
    ModelConfig config = weights.config();
    return new MemoryPlan(
        options.contextLength(config),
        options.sequences(),
        weights.bytes(),
        KvCache.bytesPerToken(config, weights.kvBits()),
        WorkspaceShape.of(weights, options).bytes());
  }

  /**
   * Plans an engine on a GPU, which need not be there.
   *
   * @param weights the model
   * @param options context and sequences
   * @return the plan
   * @throws IllegalArgumentException if the options do not fit the model
   */
  public static MemoryPlan ofCuda(ModelWeights weights, ModelOptions options) {
    return new CudaPlan(weights, options).summary();
  }

  /**
   * The cache of all sequences.
   *
   * @return bytes
   */
  public long kvBytes() {
    return Math.multiplyExact(
        Math.multiplyExact(kvBytesPerToken, (long) contextLength), (long) sequences);
  }

  /**
   * All of it.
   *
   * @return bytes
   */
  public long totalBytes() {
    return Math.addExact(Math.addExact(weightBytes, kvBytes()), workspaceBytes);
  }
}
