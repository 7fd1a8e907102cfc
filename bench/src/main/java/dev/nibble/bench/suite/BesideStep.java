package dev.nibble.bench.suite;

import dev.nibble.bench.LinearShape;
import dev.nibble.bench.kernel.BesideBench;
import dev.nibble.bench.kernel.Workbench;
import dev.nibble.bench.result.Measurement;
import dev.nibble.quantizer.format.QuantScheme;
import java.util.ArrayList;
import java.util.List;

/**
 * What a packed linear may need beside its product on the GPU.
 *
 * @param shape name of a linear, or ROWSxCOLUMNS
 * @param scheme of its weights
 * @param columns that are kept at 16 bits
 * @param tokens numbers of them, with commas between
 * @param samples of each time
 */
record BesideStep(String shape, String scheme, int columns, String tokens, int samples)
    implements Step {
  @Override
  public String title() {
    return columns + " columns at 16 bits and sums of rows beside " + shape + " " + scheme;
  }

  @Override
  public List<Measurement> run(Session session) throws LeftOutException {
    session.requireGpu();
    LinearShape linear = LinearShape.of(shape);
    List<Measurement> found = new ArrayList<>();
    try (Workbench bench = Workbench.open()) {
      BesideBench beside = new BesideBench(bench, samples);
      for (int count : Numbers.parse(tokens)) {
        found.add(session.ofKernel(beside.outliers(linear, columns, count)));
      }
      found.add(session.ofKernel(beside.rowSums(linear, QuantScheme.parse(scheme))));
    }
    return found;
  }
}
