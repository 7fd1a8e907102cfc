package dev.nibble.bench.suite;

import dev.nibble.bench.LinearShape;
import dev.nibble.bench.kernel.ProductBench;
import dev.nibble.bench.kernel.Timed;
import dev.nibble.bench.kernel.Workbench;
import dev.nibble.bench.result.Measurement;
import dev.nibble.quantizer.format.QuantScheme;
import java.util.ArrayList;
import java.util.List;

/**
 * A linear on the GPU.
 *
 * @param shape name of a linear, or ROWSxCOLUMNS
 * @param scheme of weights and inputs
 * @param tokens numbers of them, with commas between
 * @param samples of each time
 */
record ProductStep(String shape, String scheme, String tokens, int samples) implements Step {
  @Override
  public String title() {
    return "product " + shape + " " + scheme + ", " + tokens + " tokens";
  }

  @Override
  public List<Measurement> run(Session session) throws LeftOutException {
    session.requireGpu();
    List<Measurement> found = new ArrayList<>();
    try (Workbench bench = Workbench.open()) {
      for (Timed timed :
          new ProductBench(bench, samples)
              .run(LinearShape.of(shape), QuantScheme.parse(scheme), Numbers.parse(tokens))) {
        found.add(session.ofKernel(timed));
      }
    }
    return found;
  }
}
