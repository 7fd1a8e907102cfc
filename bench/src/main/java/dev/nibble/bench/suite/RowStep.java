package dev.nibble.bench.suite;

import dev.nibble.bench.kernel.RowBench;
import dev.nibble.bench.kernel.Timed;
import dev.nibble.bench.kernel.Workbench;
import dev.nibble.bench.result.Measurement;
import java.util.ArrayList;
import java.util.List;

/**
 * Norm and quantization of activations on the GPU.
 *
 * @param tokens numbers of them, with commas between
 * @param columns of a token
 * @param bits of the codes
 * @param samples of each time
 */
record RowStep(String tokens, int columns, int bits, int samples) implements Step {
  @Override
  public String title() {
    return "norm and quantization of " + tokens + " rows of " + columns + " to " + bits + " bits";
  }

  @Override
  public List<Measurement> run(Session session) throws LeftOutException {
    session.requireGpu();
    List<Measurement> found = new ArrayList<>();
    try (Workbench bench = Workbench.open()) {
      RowBench rows = new RowBench(bench, samples);
      for (int count : Numbers.parse(tokens)) {
        for (Timed timed : rows.run(count, columns, bits)) {
          found.add(session.ofKernel(timed));
        }
      }
    }
    return found;
  }
}
