package dev.nibble.bench.report;

import dev.nibble.bench.result.Ceilings;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Origin;
import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Reproducibility;
import java.util.Base64;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** All figures and charts as one HTML page that needs no other file. */
final class ReportPage {
  private static final String STYLE =
      """
      body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#222}
      table{border-collapse:collapse;font-size:13px}
      td,th{padding:.15em .8em .15em 0;text-align:left;vertical-align:top}
      td.n{text-align:right;font-variant-numeric:tabular-nums}
      img{max-width:100%;height:auto}figure{margin:1em 0}figcaption{color:#555}
      details{margin:.5em 0}.dim{color:#777}
      """;

  private ReportPage() {}

  static String of(Map<Figures, List<Chart>> devices) {
    List<Measurement> all =
        devices.keySet().stream().flatMap(figures -> figures.all().stream()).toList();
    StringBuilder page = new StringBuilder();
    page.append("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")
        .append("<title>Nibble, measured</title><style>\n")
        .append(STYLE)
        .append("</style></head><body>\n<h1>Nibble, measured</h1>\n")
        .append("<p>Medians, with least and most of the samples, and where")
        .append(" another run's median is expected. A share is of the device's own")
        .append(" ceiling, measured by the same suite.</p>\n");
    devices.forEach((figures, charts) -> device(page, figures, charts, all));
    MemoryTable.html(all).ifPresent(page::append);
    return page.append("</body></html>\n").toString();
  }

  private static void device(
      StringBuilder page, Figures figures, List<Chart> charts, List<Measurement> all) {
    page.append("<h2>").append(escaped(figures.device())).append("</h2>\n");
    for (Chart chart : charts) {
      page.append("<figure><img alt=\"")
          .append(escaped(chart.name()))
          .append("\" src=\"data:image/png;base64,")
          .append(Base64.getEncoder().encodeToString(chart.png()))
          .append("\"><figcaption>")
          .append(escaped(chart.caption()))
          .append("</figcaption></figure>\n");
    }
    DeploymentTable.html(figures, all).ifPresent(page::append);
    Comparison.html(figures).ifPresent(page::append);
    for (Kind kind : Kind.values()) {
      List<Measurement> rows = figures.all().stream().filter(m -> m.kind() == kind).toList();
      if (!rows.isEmpty()) {
        table(page, kind, rows, figures.ceilings());
      }
    }
  }

  private static void table(
      StringBuilder page, Kind kind, List<Measurement> rows, Ceilings ceilings) {
    page.append("<details")
        .append(kind == Kind.CEILING ? " open" : "")
        .append("><summary>")
        .append(kind.name().toLowerCase(Locale.ROOT))
        .append(", ")
        .append(rows.size())
        .append(" figures</summary>\n<table><tr><th>what<th>parameters<th>median<th>least")
        .append(
            "<th>most<th>of<th>another run<th>unit<th>rate<th>share<th>origin<th>commit, time, driver, clocks</tr>\n");
    for (Measurement row : rows) {
      page.append("<tr>");
      cell(page, row.name());
      cell(page, parameters(row));
      number(page, row.value().median());
      number(page, row.value().min());
      number(page, row.value().max());
      number(page, row.value().samples());
      cell(page, anotherRun(row));
      cell(page, row.unit());
      cell(page, Ceilings.rates(row));
      cell(
          page,
          ceilings
              .share(row)
              .map(s -> String.format(Locale.ROOT, "%.0f %% of %s", 100 * s.of(), s.ceiling()))
              .orElse(""));
      cell(page, row.origin().name().toLowerCase(Locale.ROOT));
      page.append("<td class=\"dim\" title=\"")
          .append(escaped(row.run().command()))
          .append("\">")
          .append(escaped(provenance(row)))
          .append("</td></tr>\n");
    }
    page.append("</table></details>\n");
  }

  /** Where its median is expected; nothing of what no run measures. */
  private static String anotherRun(Measurement row) {
    if (row.origin() == Origin.COMPUTED || row.origin() == Origin.PUBLISHED) {
      return "";
    }
    Spread range = Reproducibility.range(row);
    return number(range.min()) + " to " + number(range.max());
  }

  static String parameters(Measurement row) {
    String text = row.parameters().toString();
    return text.substring(1, text.length() - 1);
  }

  private static String provenance(Measurement row) {
    Measurement.Clocks clocks = row.clocks();
    String state =
        clocks.equals(Measurement.Clocks.UNKNOWN)
            ? ""
            : ", "
                + clocks.coreMhz()
                + "/"
                + clocks.memoryMhz()
                + " MHz, "
                + clocks.celsius()
                + " °C";
    String driver = row.machine().driver().isEmpty() ? "" : ", " + row.machine().driver();
    return row.run().commit() + ", " + row.run().time() + driver + state;
  }

  static void cell(StringBuilder page, String text) {
    page.append("<td>").append(escaped(text)).append("</td>");
  }

  static void number(StringBuilder page, double value) {
    page.append("<td class=\"n\">").append(number(value)).append("</td>");
  }

  private static String number(double value) {
    return value == Math.rint(value) || Math.abs(value) >= 1000
        ? String.format(Locale.ROOT, "%,.0f", value)
        : String.format(Locale.ROOT, "%.4g", value);
  }

  static String escaped(String text) {
    return text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("\"", "&quot;");
  }
}
