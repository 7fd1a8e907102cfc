package dev.nibble.bench.suite;

import dev.nibble.bench.result.Machine;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Clocks;
import dev.nibble.bench.result.Measurement.Context;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Origin;
import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.engine.MemoryPlan;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Weights and key-value cache on a GPU, as the runtime plans them; nothing is allocated. The plan
 * is made for one sequence of a short context; longer ones and more of them multiply its bytes of a
 * token, also past the context that the model was made for.
 *
 * @param model a synthetic shape
 * @param scheme of its weights
 * @param context tokens of a sequence, several numbers with commas between
 * @param batch sequences, likewise
 */
record MemoryStep(String model, String scheme, String context, String batch) implements Step {
  private static final int PLANNED_CONTEXT = 1024;

  /** Computed figures are of no machine. */
  private static final Machine ANY = new Machine("any", "", "", 0, "");

  @Override
  public String title() {
    return "memory of " + model + " " + scheme + ", context " + context + ", batch " + batch;
  }

  @Override
  public List<Measurement> run(Session session) {
    List<Measurement> found = new ArrayList<>();
    try (ModelWeights sizes = ModelWeights.syntheticSizes(model, QuantScheme.parse(scheme))) {
      MemoryPlan plan =
          MemoryPlan.ofCuda(
              sizes, ModelOptions.DEFAULT.withContextLength(PLANNED_CONTEXT).withSequences(1));
      Map<String, String> parameters = Map.of("model", model, "scheme", scheme);
      found.add(computed(session, "weights", parameters, plan.weightBytes()));
      found.add(computed(session, "cache.token", parameters, plan.kvBytesPerToken()));
      for (int tokens : Numbers.parse(context)) {
        for (int sequences : Numbers.parse(batch)) {
          long cache =
              Math.multiplyExact(
                  plan.kvBytesPerToken(), Math.multiplyExact((long) tokens, sequences));
          Map<String, String> shape = new TreeMap<>(parameters);
          shape.put("context", Integer.toString(tokens));
          shape.put("batch", Integer.toString(sequences));
          long both = Math.addExact(plan.weightBytes(), cache);
          found.add(computed(session, "weights_and_cache", shape, both));
        }
      }
    }
    return found;
  }

  private static Measurement computed(
      Session session, String name, Map<String, String> parameters, long bytes) {
    return Measurement.of(
        Kind.MEMORY,
        name,
        parameters,
        "bytes",
        Spread.of((double) bytes),
        Work.NONE,
        Origin.COMPUTED,
        new Context(ANY, Clocks.UNKNOWN, session.run()));
  }
}
