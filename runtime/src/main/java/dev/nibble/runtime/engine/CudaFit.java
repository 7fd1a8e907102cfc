package dev.nibble.runtime.engine;

import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.DeviceException;
import dev.nibble.runtime.model.Linear;
import dev.nibble.runtime.model.ModelWeights;
import dev.nibble.runtime.model.UnfitModelException;
import java.util.Locale;

/** What is asked of a model before an engine on a GPU is made for it. */
final class CudaFit {
  /**
   * What the driver takes once a plan is made: the kernels' code and local memory, graphs, and what
   * allocations are rounded up by. Its context is there by then, and not free.
   */
  static final long DRIVER_BYTES = 256L << 20;

  private CudaFit() {}

  /**
   * Refuses, before anything is allocated, what a GPU has no kernel for.
   *
   * @param weights the model
   * @param asked the device as the user names it
   * @throws UnfitModelException naming the field
   */
  static void require(ModelWeights weights, Device asked) {
    weights.blocks().stream()
        .flatMap(WorkspaceShape::linearsOf)
        .forEach(linear -> require(linear, asked));
  }

  private static void require(Linear linear, Device asked) {
    if (Float.isFinite(linear.outlierThreshold())) {
      throw new UnfitModelException(
          asked,
          linear.name() + ".outlier_threshold",
          "outlier inputs found at run time are not supported on a GPU; run it with --device cpu");
    }
    if (linear.outlierValues().isPresent()) {
      throw new UnfitModelException(
          asked,
          linear.name() + ".outlier_values",
          "single outlier weights are not supported on a GPU; run it with --device cpu");
    }
  }

  /**
   * Refuses a plan that the device has no room for, beside what the driver takes.
   *
   * @param device of the engine
   * @param planned bytes
   * @param plan what they are for
   * @throws DeviceException saying what is needed and what is free
   */
  static void requireMemory(dev.nibble.runtime.cuda.Device device, long planned, MemoryPlan plan) {
    long needed = Math.addExact(planned, DRIVER_BYTES);
    long freeBytes = device.memory().freeBytes();
    if (needed > freeBytes) {
      throw new DeviceException(
          Device.cuda(device.properties().ordinal()),
          String.format(
              Locale.ROOT,
              "needs %.2f GiB (%.2f weights, %.2f cache, %.2f workspace, %.2f driver),"
                  + " %.2f GiB are free; use a smaller --context, fewer sequences or a scheme with KV4",
              gib(needed),
              gib(plan.weightBytes()),
              gib(plan.kvBytes()),
              gib(plan.workspaceBytes()),
              gib(DRIVER_BYTES),
              gib(freeBytes)));
    }
  }

  private static double gib(long bytes) {
    return bytes / (double) (1L << 30);
  }
}
