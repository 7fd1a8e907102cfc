package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.GpuTest;
import dev.nibble.runtime.cuda.CudaDevices;
import dev.nibble.runtime.cuda.CudaStatus;
import dev.nibble.runtime.cuda.DeviceMonitor;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestReporter;

/** Memory of a GPU that a large model takes, against its plan. Nothing else may use the GPU. */
@GpuTest
class CudaMemoryGpuTest {
  private static final String SHAPE = "llama-2-7b";
  private static final QuantScheme SCHEME = QuantScheme.parse("W4A16g128");
  private static final long GIB = 1L << 30;

  @Test
  void aLargeModelTakesWhatWasPlanned(TestReporter reporter) {
    ModelOptions options = ModelOptions.DEFAULT.withContextLength(4096);
    MemoryPlan plan;
    try (ModelWeights sizes = ModelWeights.syntheticSizes(SHAPE, SCHEME)) {
      plan = MemoryPlan.ofCuda(sizes, options);
    }
    try (DeviceMonitor monitor =
        DeviceMonitor.open(((CudaStatus.Ready) CudaDevices.probe()).devices().getFirst())
            .orElseThrow()) {
      long before = monitor.read().usedBytes();
      try (dev.nibble.runtime.cuda.Device context = dev.nibble.runtime.cuda.Device.open(0)) {
        long free = context.memory().freeBytes();
        try (Engine engine = Engine.synthetic(SHAPE, SCHEME, Device.cuda(0), options);
            Sequence sequence = engine.open(SamplingParameters.GREEDY)) {
          int[] token = {engine.prefill(sequence, new int[2048])};
          engine.step(new Sequence[] {sequence}, 1, token);
          long used = monitor.read().usedBytes() - before;
          long taken = free - context.memory().freeBytes();
          String what = "used " + used + ", " + taken + " without the context, of " + plan;
          reporter.publishEntry(what);
          assertEquals(plan, engine.memory());
          assertTrue(taken >= plan.totalBytes(), what);
          assertTrue(taken <= plan.totalBytes() + CudaFit.DRIVER_BYTES, what);
          assertTrue(used <= 6.4 * GIB, what);
        }
      }
    }
    assertTrue(plan.weightBytes() <= 3.8 * GIB, plan::toString);
  }
}
