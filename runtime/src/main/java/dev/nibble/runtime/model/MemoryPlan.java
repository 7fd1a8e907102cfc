package dev.nibble.runtime.model;

import dev.nibble.quantizer.format.ModelConfig;

/**
 * Memory an engine takes.
 *
 * @param weightBytes all tensors
 * @param kvBytesPerToken keys and values of one position, all layers
 * @param kvBytes the cache of all sequences
 * @param workspaceBytes activations of a step
 */
public record MemoryPlan(
    long weightBytes, long kvBytesPerToken, long kvBytes, long workspaceBytes) {
  /**
   * Plans an engine.
   *
   * @param config the model's shape and scheme
   * @param weightBytes size of all tensors
   * @param options context and sequences
   * @return the plan
   * @throws IllegalArgumentException if the options do not fit the model
   */
  public static MemoryPlan of(ModelConfig config, long weightBytes, ModelOptions options) {
    return later();
  }

  /**
   * All of it.
   *
   * @return bytes
   */
  public long totalBytes() {
    return Math.addExact(Math.addExact(weightBytes, kvBytes), workspaceBytes);
  }

  @SuppressWarnings("TypeParameterUnusedInFormals")
  private static <T> T later() {
    throw new IllegalStateException("not written yet");
  }
}
