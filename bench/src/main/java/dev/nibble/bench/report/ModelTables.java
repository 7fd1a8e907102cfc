package dev.nibble.bench.report;

import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Reproducibility;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Predicate;

/**
 * Tables of whole models on a GPU.
 *
 * @param gpu figures of the device
 */
record ModelTables(Figures gpu) {
  /** One sequence, every scheme and depth. */
  String decode() {
    return decode(_ -> true);
  }

  /** The same of the base point's depth, for the shape that most figures are of. */
  String base() {
    return decode(m ->
        m.parameter("model").equals(Charts.BASE_MODEL)
            && m.parameter("depth").equals(Charts.BASE_DEPTH));
  }

  private String decode(Predicate<Measurement> wanted) {
    MarkdownTable table =
        new MarkdownTable(
            "model",
            "scheme",
            "depth",
            "tokens/s",
            "least to most",
            "another run",
            "of the read",
            "p99, us");
    gpu.find(Kind.MODEL, "decode", m -> m.parameter("batch").equals("1") && wanted.test(m)).stream()
        .sorted(
            Comparator.comparing((Measurement m) -> m.parameter("model"))
                .thenComparingInt(m -> Integer.parseInt(m.parameter("depth")))
                .thenComparing(m -> -m.value().median()))
        .forEach(m ->
            table.add(
                m.parameter("model"),
                m.parameter("scheme"),
                m.parameter("depth"),
                MarkdownTable.number(m.value().median()),
                MarkdownTable.range(m.value()),
                MarkdownTable.range(Reproducibility.range(m)),
                gpu.percent(m),
                MarkdownTable.median(
                    gpu.latest(p ->
                        p.name().equals("decode.p99") && p.parameters().equals(m.parameters())))));
    return table.text();
  }

  /** Prompts of one sequence. */
  String prefill() {
    MarkdownTable table = new MarkdownTable("model", "scheme", "tokens", "ms", "tokens/s");
    gpu.find(Kind.MODEL, "prefill", m -> m.parameter("batch").equals("1")).stream()
        .filter(m -> m.parameter("depth").equals("0"))
        .sorted(
            Comparator.comparing((Measurement m) -> m.parameter("model"))
                .thenComparingInt(m -> Integer.parseInt(m.parameter("tokens")))
                .thenComparing(m -> -m.value().median()))
        .forEach(m ->
            table.add(
                m.parameter("model"),
                m.parameter("scheme"),
                m.parameter("tokens"),
                MarkdownTable.number(
                    1e3 * Integer.parseInt(m.parameter("tokens")) / m.value().median()),
                MarkdownTable.number(m.value().median())));
    return table.text();
  }

  /** Tokens a second in all, over sequences. */
  String batch() {
    Map<String, TreeMap<Integer, Measurement>> series = new TreeMap<>();
    gpu.find(Kind.MODEL, "decode", m -> m.parameter("depth").equals("512"))
        .forEach(m ->
            series
                .computeIfAbsent(
                    m.parameter("model") + " " + m.parameter("scheme"), _ -> new TreeMap<>())
                .put(Integer.parseInt(m.parameter("batch")), m));
    series.values().removeIf(points -> points.size() < 3);
    List<Integer> sizes =
        series.values().stream().flatMap(p -> p.keySet().stream()).distinct().sorted().toList();
    List<String> names = new ArrayList<>(List.of("sequences"));
    sizes.forEach(size -> names.add(size.toString()));
    MarkdownTable table = new MarkdownTable(names);
    series.forEach((what, points) -> {
      List<String> cells = new ArrayList<>(List.of(what));
      sizes.forEach(size -> cells.add(MarkdownTable.median(Optional.ofNullable(points.get(size)))));
      table.add(cells);
    });
    return table.text();
  }

  /** A packed folder's way to the GPU. */
  String loading() {
    MarkdownTable table =
        new MarkdownTable("what", "model", "scheme", "GB/s", "least to most", "another run");
    Map<String, String> names = new LinkedHashMap<>();
    names.put("load", "files to an engine that is ready, checksums included");
    names.put("load.read", "a plain read of these files by one thread");
    names.forEach((name, what) ->
        gpu.find(Kind.MODEL, name)
            .forEach(m ->
                table.add(
                    what,
                    m.parameter("model"),
                    m.parameter("scheme"),
                    MarkdownTable.number(m.value().median()),
                    MarkdownTable.range(m.value()),
                    MarkdownTable.range(Reproducibility.range(m)))));
    return table.text();
  }
}
