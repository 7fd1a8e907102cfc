package dev.nibble.bench.suite;

import dev.nibble.bench.kernel.AttentionBench;
import dev.nibble.bench.kernel.AttentionShape;
import dev.nibble.bench.kernel.Workbench;
import dev.nibble.bench.result.Measurement;
import java.util.ArrayList;
import java.util.List;

/**
 * Attention of one layer on the GPU.
 *
 * @param of {@code decode}, {@code prefill}, or {@code stage}: a packed cache as a prompt reads it
 * @param heads query heads
 * @param kvHeads key-value heads
 * @param headDim channels of a head
 * @param kvBits of the cache, with commas between
 * @param batch sequences
 * @param context tokens of each
 * @param samples of each time
 */
record AttentionStep(
    String of,
    int heads,
    int kvHeads,
    int headDim,
    String kvBits,
    int batch,
    int context,
    int samples)
    implements Step {
  private static final List<String> KINDS = List.of("decode", "prefill", "stage");

  AttentionStep {
    if (!KINDS.contains(of)) {
      throw new IllegalArgumentException("attention of '" + of + "': expected one of " + KINDS);
    }
  }

  @Override
  public String title() {
    return "attention of "
        + of
        + ", "
        + batch
        + " x "
        + context
        + " tokens, "
        + heads
        + " heads over "
        + kvHeads
        + ", KV"
        + kvBits;
  }

  @Override
  public List<Measurement> run(Session session) throws LeftOutException {
    session.requireGpu();
    List<Measurement> found = new ArrayList<>();
    try (Workbench bench = Workbench.open()) {
      AttentionBench attention = new AttentionBench(bench, samples);
      for (int bits : Numbers.parse(kvBits)) {
        AttentionShape shape = new AttentionShape(heads, kvHeads, headDim, bits, batch, context);
        found.add(
            session.ofKernel(
                switch (of) {
                  case "decode" -> attention.decode(shape);
                  case "prefill" -> attention.prefill(shape);
                  default -> attention.stage(shape);
                }));
      }
    }
    return found;
  }
}
