package dev.nibble.bench.report;

import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Origin;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Memory of weights and key-value cache over sequences and context, the claim of RPTQ (Yuan et al.
 * 2023): with few bits of both, the cache of many long sequences fits.
 */
final class MemoryTable {
  private MemoryTable() {}

  private record Row(String model, int context, int batch) {}

  static Optional<String> html(List<Measurement> all) {
    Map<Row, Map<String, Measurement>> rows =
        new TreeMap<>(
            Comparator.comparing(Row::model)
                .thenComparingInt(Row::context)
                .thenComparingInt(Row::batch));
    LinkedHashSet<String> schemes = new LinkedHashSet<>();
    for (Measurement m : all) {
      if (m.kind() == Kind.MEMORY && m.name().equals("weights_and_cache")) {
        Row row =
            new Row(
                m.parameter("model"),
                Integer.parseInt(m.parameter("context")),
                Integer.parseInt(m.parameter("batch")));
        rows.computeIfAbsent(row, _ -> new LinkedHashMap<>())
            .merge(m.parameter("scheme"), m, MemoryTable::measured);
        schemes.add(m.parameter("scheme"));
      }
    }
    if (rows.isEmpty()) {
      return Optional.empty();
    }
    StringBuilder html =
        new StringBuilder("<h2>Weights and key-value cache</h2>\n<p>GiB on a GPU; c: computed");
    html.append(" from the runtime's plan; m: what came into use by NVML when the engine was made,")
        .append(" its workspace and kernels included.</p>\n<table><tr><th>model")
        .append("<th>context<th>sequences");
    schemes.forEach(scheme -> html.append("<th>").append(ReportPage.escaped(scheme)));
    html.append("</tr>\n");
    rows.forEach((row, figures) -> {
      html.append("<tr>");
      ReportPage.cell(html, row.model());
      ReportPage.number(html, row.context());
      ReportPage.number(html, row.batch());
      for (String scheme : schemes) {
        html.append("<td class=\"n\">")
            .append(Optional.ofNullable(figures.get(scheme)).map(MemoryTable::text).orElse(""))
            .append("</td>");
      }
      html.append("</tr>\n");
    });
    return Optional.of(html.append("</table>\n").toString());
  }

  private static Measurement measured(Measurement a, Measurement b) {
    return b.origin() == Origin.MEASURED ? b : a;
  }

  private static String text(Measurement figure) {
    return String.format(
        Locale.ROOT,
        "%.2f %s",
        figure.value().median() / (1L << 30),
        figure.origin() == Origin.COMPUTED ? "c" : "m");
  }
}
