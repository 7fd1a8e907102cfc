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

  /** Rows in order, and in each the figure of a scheme. */
  private record Table(List<String> schemes, Map<Row, Map<String, Measurement>> rows) {
    static Table of(List<Measurement> all) {
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
      return new Table(List.copyOf(schemes), rows);
    }
  }

  static Optional<String> html(List<Measurement> all) {
    Table table = Table.of(all);
    if (table.rows.isEmpty()) {
      return Optional.empty();
    }
    StringBuilder html =
        new StringBuilder("<h2>Weights and key-value cache</h2>\n<p>GiB on a GPU; c: computed");
    html.append(" from the runtime's plan; m: what came into use by NVML when the engine was made,")
        .append(" its workspace and kernels included.</p>\n<table><tr><th>model")
        .append("<th>context<th>sequences");
    table.schemes.forEach(scheme -> html.append("<th>").append(ReportPage.escaped(scheme)));
    html.append("</tr>\n");
    table.rows.forEach((row, figures) -> {
      html.append("<tr>");
      ReportPage.cell(html, row.model());
      ReportPage.number(html, row.context());
      ReportPage.number(html, row.batch());
      for (String scheme : table.schemes) {
        html.append("<td class=\"n\">").append(text(figures, scheme)).append("</td>");
      }
      html.append("</tr>\n");
    });
    return Optional.of(html.append("</table>\n").toString());
  }

  /** The same for a text. */
  static Optional<String> markdown(List<Measurement> all) {
    Table table = Table.of(all);
    if (table.rows.isEmpty()) {
      return Optional.empty();
    }
    StringBuilder text = new StringBuilder("| model | context | sequences |");
    table.schemes.forEach(scheme -> text.append(' ').append(scheme).append(" |"));
    text.append("\n|").append("---|".repeat(3 + table.schemes.size())).append('\n');
    table.rows.forEach((row, figures) -> {
      text.append(
          String.format(Locale.ROOT, "| %s | %,d | %d |", row.model(), row.context(), row.batch()));
      table.schemes.forEach(s -> text.append(' ').append(text(figures, s)).append(" |"));
      text.append('\n');
    });
    return Optional.of(text.toString());
  }

  private static String text(Map<String, Measurement> figures, String scheme) {
    return Optional.ofNullable(figures.get(scheme)).map(MemoryTable::text).orElse("");
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
