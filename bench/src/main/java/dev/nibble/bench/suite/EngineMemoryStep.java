package dev.nibble.bench.suite;

import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.cuda.DeviceReading;
import dev.nibble.runtime.engine.Engine;
import dev.nibble.runtime.engine.MemoryPlan;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Memory of a GPU that comes into use, as NVML tells it, when an engine is made: weights, cache,
 * and with them the workspace and the kernels' code. A model has no more positions than it was made
 * for; a longer context is taken as twice the sequences of half of it, whose cache is as large.
 *
 * @param model a synthetic shape
 * @param scheme of its weights
 * @param context tokens of a sequence
 * @param batch numbers of sequences, with commas between
 */
record EngineMemoryStep(String model, String scheme, int context, String batch) implements Step {
  private static final long GIB = 1L << 30;

  /** Kept free for what is not planned. */
  private static final long SPARE_BYTES = 2 * GIB;

  @Override
  public String title() {
    return "memory in use by " + model + " " + scheme + ", context " + context + ", batch " + batch;
  }

  @Override
  public List<Measurement> run(Session session) throws LeftOutException {
    session.requireGpu();
    List<Measurement> found = new ArrayList<>();
    for (int sequences : Numbers.parse(batch)) {
      measure(session, sequences).ifPresent(found::add);
    }
    if (found.isEmpty()) {
      throw new LeftOutException("fits none of these, or NVML is absent");
    }
    return found;
  }

  private Optional<Measurement> measure(Session session, int sequences) throws LeftOutException {
    Optional<DeviceReading> before = session.reading();
    if (before.isEmpty() || !fits(sequences, before.get())) {
      return Optional.empty();
    }
    QuantScheme packed = QuantScheme.parse(scheme);
    ModelOptions options;
    try (ModelWeights sizes = ModelWeights.syntheticSizes(model, packed)) {
      options = options(sizes, sequences);
    }
    long used;
    try (Engine engine = Engine.synthetic(model, packed, new Device.Cuda(0), options)) {
      used = session.reading().orElseThrow().usedBytes() - before.get().usedBytes();
      if (used < engine.memory().totalBytes()) {
        return Optional.empty(); // another process gave memory back meanwhile
      }
    }
    return Optional.of(
        session.ofGpu(
            Kind.MEMORY,
            "weights_and_cache",
            Map.of(
                "model",
                model,
                "scheme",
                scheme,
                "context",
                Integer.toString(context),
                "batch",
                Integer.toString(sequences)),
            "bytes",
            Spread.of((double) used),
            Work.NONE));
  }

  private boolean fits(int sequences, DeviceReading reading) {
    try (ModelWeights sizes = ModelWeights.syntheticSizes(model, QuantScheme.parse(scheme))) {
      ModelOptions options = options(sizes, sequences);
      return options.sequences() <= ModelOptions.MAX_SEQUENCES
          && MemoryPlan.ofCuda(sizes, options).totalBytes() + SPARE_BYTES
              < reading.totalBytes() - reading.usedBytes();
    }
  }

  private ModelOptions options(ModelWeights weights, int sequences) {
    int held = Math.min(context, weights.config().maxPositions());
    return ModelOptions.DEFAULT
        .withContextLength(held)
        .withSequences(Math.multiplyExact(sequences, Math.ceilDiv(context, held)));
  }
}
