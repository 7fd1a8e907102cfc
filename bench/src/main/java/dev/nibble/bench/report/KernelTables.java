package dev.nibble.bench.report;

import dev.nibble.bench.result.Ceilings;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Origin;
import dev.nibble.bench.result.Reproducibility;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Tables of what a GPU, its kernels and calls of its driver take.
 *
 * @param gpu figures of the device
 */
record KernelTables(Figures gpu) {
  private static final List<String> SCHEMES =
      List.of("W4A16g128", "W3A16g128", "W2A16g128", "W8A16g128", "W16A16", "W4A8", "W8A8");
  private static final List<String> TOKENS = List.of("1", "16", "64", "2048");
  private static final List<String> KV_BITS = List.of("16", "8", "4", "3");

  /** Schemes that PyTorch multiplies too. */
  private static final List<String> PEERS = List.of("W16A16", "W4A16g128", "W8A8");

  /** What the device itself can do. */
  String ceilings() {
    MarkdownTable table = new MarkdownTable("ceiling", "median", "least to most", "another run");
    List.of(Ceilings.READ, "copy", "upload", "graph_node", Ceilings.FP16, Ceilings.INT8)
        .forEach(name ->
            gpu.find(Kind.CEILING, name)
                .forEach(m ->
                    table.add(
                        name,
                        MarkdownTable.number(m.value().median()) + " " + m.unit(),
                        MarkdownTable.range(m.value()),
                        MarkdownTable.range(Reproducibility.range(m)))));
    return table.text();
  }

  /** Every linear and number of tokens, and what cuBLASLt takes. */
  String products() {
    List<String> shapes =
        gpu.all().stream()
            .filter(m -> m.kind() == Kind.KERNEL && m.origin() == Origin.MEASURED)
            .filter(m -> SCHEMES.contains(m.parameter("scheme")))
            .map(m -> m.parameter("shape"))
            .filter(shape -> !shape.isEmpty())
            .distinct()
            .toList();
    List<String> names = new ArrayList<>(List.of("linear", "tokens"));
    names.addAll(SCHEMES);
    names.addAll(List.of("cuBLASLt fp16", "cuBLASLt int8"));
    MarkdownTable table = new MarkdownTable(names);
    for (String shape : shapes) {
      for (String tokens : TOKENS) {
        List<String> cells = new ArrayList<>(List.of(shape, tokens));
        SCHEMES.forEach(s -> cells.add(MarkdownTable.median(gpu.product(shape, tokens, s))));
        cells.add(MarkdownTable.median(gpu.libraryProduct(shape, tokens, "W16A16")));
        cells.add(MarkdownTable.median(gpu.libraryProduct(shape, tokens, "W8A8")));
        if (cells.stream().skip(2).anyMatch(cell -> !cell.isEmpty())) {
          table.add(cells);
        }
      }
    }
    return table.text();
  }

  /** PyTorch's products beside ours, with a ratio where both are of one run or day. */
  String peers() {
    List<Measurement> theirs =
        gpu.all().stream().filter(m -> m.parameter("program").startsWith("PyTorch")).toList();
    List<String> names = new ArrayList<>(List.of("linear", "tokens"));
    PEERS.forEach(s -> names.addAll(List.of(s, "PyTorch", "ours / its")));
    MarkdownTable table = new MarkdownTable(names);
    for (String shape : theirs.stream().map(m -> m.parameter("shape")).distinct().toList()) {
      for (String tokens : TOKENS) {
        List<String> cells = new ArrayList<>(List.of(shape, tokens));
        for (String scheme : PEERS) {
          Optional<Measurement> own = gpu.product(shape, tokens, scheme);
          Optional<Measurement> other =
              Figures.latest(
                  theirs,
                  m ->
                      m.parameter("shape").equals(shape)
                          && m.parameter("tokens").equals(tokens)
                          && m.parameter("scheme").equals(scheme));
          cells.add(MarkdownTable.median(own));
          cells.add(MarkdownTable.median(other));
          cells.add(
              own.isPresent() && other.isPresent()
                  ? Comparison.ratio(own.get(), other.get()).map(MarkdownTable::number).orElse("")
                  : "");
        }
        table.add(cells);
      }
    }
    return table.text();
  }

  /** Attention of one layer. */
  String attention() {
    Map<String, Map<String, Measurement>> found = new LinkedHashMap<>();
    for (String kernel : List.of("attention_decode", "attention_prefill")) {
      for (Measurement m : gpu.find(Kind.KERNEL, kernel)) {
        String what =
            (kernel.endsWith("decode") ? "decode, " : "prompt, ")
                + m.parameter("batch")
                + " x "
                + m.parameter("context")
                + ", "
                + m.parameter("heads")
                + " heads over "
                + m.parameter("kv_heads");
        found.computeIfAbsent(what, _ -> new LinkedHashMap<>()).put(m.parameter("kv_bits"), m);
      }
    }
    MarkdownTable table = new MarkdownTable("attention", "KV16", "KV8", "KV4", "KV3");
    found.forEach((what, bits) -> {
      List<String> cells = new ArrayList<>(List.of(what));
      KV_BITS.forEach(b ->
          cells.add(
              Optional.ofNullable(bits.get(b))
                  .map(m -> MarkdownTable.number(m.value().median()) + " (" + gpu.percent(m) + ")")
                  .orElse("")));
      table.add(cells);
    });
    return table.text();
  }

  /** Calls of the driver from Java, ours and JNI. */
  String calls() {
    MarkdownTable table = new MarkdownTable("call", "FFM", "FFM, critical", "JNI (JCuda 12.6)");
    Map<String, String> names = new LinkedHashMap<>();
    names.put("`cuDriverGetVersion`", "DriverCalls.version");
    names.put("`cuDeviceGetUuid`, which fills a struct", "DriverCalls.struct");
    names.put("a kernel that does nothing, back to back", "Launches.launch");
    names.put("a graph of 32 such kernels", "Launches.graph");
    names.put("a copy of 4 KiB to the GPU", "Launches.copy");
    names.forEach((what, name) ->
        table.add(what, call(name, "Plain", "Ffm"), call(name, "Critical"), call(name, "Jni")));
    return table.text();
  }

  private String call(String name, String... endings) {
    return MarkdownTable.median(
        gpu.latest(m ->
            m.kind() == Kind.CALL
                && List.of(endings).stream().anyMatch(e -> m.name().equals(name + e))));
  }
}
