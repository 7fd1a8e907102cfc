package dev.nibble.bench.suite;

import dev.nibble.bench.LinearShape;
import dev.nibble.bench.kernel.ProductBench;
import dev.nibble.bench.kernel.StepProductBench;
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
 * @param tokens numbers of them, with commas between; 1 where {@code as} is given
 * @param as {@code norm}, {@code norm+swiglu} or {@code add}: as a decode step has it; left out for
 *     a plain product
 * @param samples of each time
 */
record ProductStep(String shape, String scheme, String tokens, String as, int samples)
    implements Step {
  ProductStep {
    as = as == null ? "" : as;
    if (!as.isEmpty() && !tokens.equals("1")) {
      throw new IllegalArgumentException(
          "product as " + as + " of " + tokens + " tokens: expected 1");
    }
  }

  @Override
  public String title() {
    return "product "
        + shape
        + " "
        + scheme
        + (as.isEmpty() ? "" : " as " + as)
        + ", "
        + tokens
        + " tokens";
  }

  @Override
  public List<Measurement> run(Session session) throws LeftOutException {
    session.requireGpu();
    List<Measurement> found = new ArrayList<>();
    try (Workbench bench = Workbench.open()) {
      for (Timed timed : times(bench)) {
        found.add(session.ofKernel(timed));
      }
    }
    return found;
  }

  private List<Timed> times(Workbench bench) {
    LinearShape linear = LinearShape.of(shape);
    QuantScheme packed = QuantScheme.parse(scheme);
    return as.isEmpty()
        ? new ProductBench(bench, samples).run(linear, packed, Numbers.parse(tokens))
        : List.of(
            new StepProductBench(bench, samples).run(linear, packed, StepProductBench.Form.of(as)));
  }
}
