package dev.nibble.bench.suite;

import dev.nibble.bench.kernel.AroundBench;
import dev.nibble.bench.kernel.Workbench;
import dev.nibble.bench.result.Measurement;
import java.util.ArrayList;
import java.util.List;

/**
 * What a model does around its products on the GPU.
 *
 * @param tokens numbers of them, with commas between
 * @param hidden columns of the residual stream
 * @param intermediate columns between gate and down
 * @param vocab tokens there are
 * @param headDim channels of a head
 * @param kvBits of the cache, with commas between
 * @param samples of each time
 */
record AroundStep(
    String tokens, int hidden, int intermediate, int vocab, int headDim, String kvBits, int samples)
    implements Step {
  /** More sequences than an engine has are a prompt's tokens, of which one is chosen after. */
  private static final int MOST_SEQUENCES = 256;

  @Override
  public String title() {
    return "embedding, rotation, SwiGLU and sampling of " + tokens + " tokens";
  }

  @Override
  public List<Measurement> run(Session session) throws LeftOutException {
    session.requireGpu();
    List<Measurement> found = new ArrayList<>();
    try (Workbench bench = Workbench.open()) {
      AroundBench around = new AroundBench(bench, samples);
      for (int count : Numbers.parse(tokens)) {
        found.add(session.ofKernel(around.embedding(count, vocab, hidden)));
        found.add(session.ofKernel(around.swiGlu(count, intermediate)));
        for (int bits : Numbers.parse(kvBits)) {
          found.add(session.ofKernel(around.rotate(count, hidden / headDim, headDim, bits)));
        }
        if (count <= MOST_SEQUENCES) {
          found.add(session.ofKernel(around.sample(count, vocab)));
        }
      }
    }
    return found;
  }
}
