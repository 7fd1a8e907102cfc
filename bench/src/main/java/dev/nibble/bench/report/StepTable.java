package dev.nibble.bench.report;

import dev.nibble.bench.LinearShape;
import dev.nibble.bench.result.Ceilings;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.model.ModelWeights;
import java.util.List;
import java.util.Optional;

/**
 * What the parts of a decode step take when each is measured alone, beside the step itself, for the
 * base point: llama-2-7b, one sequence, 512 tokens in the cache. The step has the embedding and the
 * kernels' starts besides, and neighbours in it overlap, so the parts' sum is not its time.
 *
 * @param gpu figures of the device
 * @param scheme of the weights; inputs and cache have 16 bits
 */
record StepTable(Figures gpu, String scheme) {
  private static final String ONE = "1";

  /**
   * A part.
   *
   * @param name of it
   * @param times that a step does it
   * @param figure of one, alone
   */
  private record Part(String name, int times, Optional<Measurement> figure) {
    double microseconds() {
      return times * figure.map(Figures::microseconds).orElse(0.0);
    }

    /** The time in which its bytes could be read. */
    double floor(double gigabytesPerSecond) {
      return times * figure.map(m -> m.work().bytes() / gigabytesPerSecond / 1e3).orElse(0.0);
    }
  }

  String markdown() {
    double read = gpu.ceiling(Ceilings.READ).orElse(Double.NaN);
    Optional<Measurement> step = gpu.latest(m -> m.name().equals("decode.p50") && isBase(m));
    List<Part> parts = parts();
    if (step.isEmpty() || parts.stream().anyMatch(part -> part.figure.isEmpty())) {
      return MarkdownTable.NOTHING;
    }
    double whole = Figures.microseconds(step.get());
    MarkdownTable table =
        new MarkdownTable(
            "part of a step",
            "times",
            "us each, alone",
            "us in all",
            "of the step",
            "floor, us",
            "of its floor");
    for (Part part : parts) {
      table.add(
          part.name,
          Integer.toString(part.times),
          MarkdownTable.median(part.figure),
          MarkdownTable.number(part.microseconds()),
          MarkdownTable.percent(part.microseconds() / whole),
          MarkdownTable.number(part.floor(read)),
          MarkdownTable.percent(part.floor(read) / part.microseconds()));
    }
    double alone = parts.stream().mapToDouble(Part::microseconds).sum();
    double floor = parts.stream().mapToDouble(part -> part.floor(read)).sum();
    table.add(
        "all of these",
        "",
        "",
        MarkdownTable.number(alone),
        MarkdownTable.percent(alone / whole),
        MarkdownTable.number(floor),
        MarkdownTable.percent(floor / alone));
    table.add(
        "the step, measured (p50)",
        "",
        "",
        MarkdownTable.number(whole),
        "100 %",
        MarkdownTable.number(floor),
        MarkdownTable.percent(floor / whole));
    return table.text();
  }

  private boolean isBase(Measurement m) {
    return m.parameter("model").equals(Charts.BASE_MODEL)
        && m.parameter("scheme").equals(scheme)
        && m.parameter("depth").equals(Charts.BASE_DEPTH)
        && m.parameter("batch").equals(ONE);
  }

  private List<Part> parts() {
    int layers;
    int heads;
    int vocabulary;
    try (ModelWeights sizes =
        ModelWeights.syntheticSizes(Charts.BASE_MODEL, QuantScheme.parse(scheme))) {
      layers = sizes.config().layers();
      heads = sizes.config().heads();
      vocabulary = sizes.config().vocabSize();
    }
    String kvHeads = Integer.toString(heads);
    return List.of(
        linear("q, k, v", "qkv", layers, "norm"),
        new Part(
            "attention",
            layers,
            gpu.latest(m ->
                m.name().equals("attention_decode")
                    && m.parameter("batch").equals(ONE)
                    && m.parameter("context").equals(Charts.BASE_DEPTH)
                    && m.parameter("kv_heads").equals(kvHeads)
                    && m.parameter("kv_bits").equals("16"))),
        linear("o", "o", layers, "add"),
        linear("gate, up", "gate_up", layers, "norm+swiglu"),
        linear("down", "down", layers, "add"),
        new Part("head (fp16)", 1, gpu.product(size("head"), ONE, "W16A16")),
        new Part(
            "choice of the token",
            1,
            gpu.latest(m ->
                m.kind() == Kind.KERNEL
                    && m.name().equals("sample")
                    && m.parameter("tokens").equals(ONE)
                    && m.parameter("vocab").equals(Integer.toString(vocabulary)))));
  }

  /** A linear as the step has it; where only the plain product is measured, that. */
  private Part linear(String name, String linear, int times, String as) {
    Optional<Measurement> whole = gpu.productOfStep(size(linear), scheme, as);
    return whole.isPresent()
        ? new Part(name + " (" + as + ")", times, whole)
        : new Part(name, times, gpu.product(size(linear), ONE, scheme));
  }

  private static String size(String linear) {
    return LinearShape.of(Charts.BASE_MODEL + "/" + linear).size();
  }
}
