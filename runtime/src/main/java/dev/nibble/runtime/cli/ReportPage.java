package dev.nibble.runtime.cli;

import dev.nibble.quantizer.method.FolderQuantizer.LinearError;
import dev.nibble.quantizer.method.InputRanges;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;

/** A run's report as one HTML page that needs no other file. */
final class ReportPage {
  private static final String STYLE =
      """
      body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em;color:#222}
      table{border-collapse:collapse}td,th{padding:.15em 1em .15em 0;text-align:left}
      td.n{text-align:right;font-variant-numeric:tabular-nums}
      svg{width:100%;height:auto;background:#fafafa;margin:.5em 0 1.5em}
      text{font-size:11px;fill:#555}.bar{fill:#3b6ea5}.line{fill:none;stroke-width:1.5}
      .range{fill:none;stroke:#3b6ea5}
      """;

  private static final int SHOWN_RANGES = 4;

  private ReportPage() {}

  static String of(QuantizeReport report) {
    StringBuilder page = new StringBuilder();
    String title = escaped(report.folder() + ": " + report.scheme() + " by " + report.method());
    page.append("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>")
        .append(title)
        .append("</title><style>\n")
        .append(STYLE)
        .append("</style></head><body>\n<h1>")
        .append(title)
        .append("</h1>\n");
    figures(report, page);
    if (!report.summary().linears().isEmpty()) {
      page.append(
          "<h2>Error of each linear</h2>\n<p>|W - Q(W)| / |W|, in the model's order.</p>\n");
      page.append(
          SvgChart.bars(
              report.summary().linears().stream().map(LinearError::relativeError).toList(),
              report.summary().linears().stream().map(LinearError::name).toList()));
    }
    if (!report.blockLosses().isEmpty()) {
      page.append(
          "<h2>Loss of each block</h2>\n<p>Mean squared error of its output on the calibration"
              + " text, the errors of the blocks before it included.</p>\n");
      page.append(
          SvgChart.bars(report.blockLosses(), numbered("block", report.blockLosses().size())));
    }
    List<List<Double>> curves = report.curves().stream().filter(c -> c.size() > 1).toList();
    if (!curves.isEmpty()) {
      page.append("<h2>Loss while training</h2>\n<p>A line a block, log scale.</p>\n");
      page.append(SvgChart.curves(curves));
    }
    ranges(report.ranges(), page);
    table(report, page);
    return page.append("</body></html>\n").toString();
  }

  /** Those of a few norms, from the first block to the last. */
  private static void ranges(List<InputRanges> ranges, StringBuilder page) {
    if (ranges.isEmpty()) {
      return;
    }
    page.append(
        "<h2>Ranges of the inputs' channels</h2>\n<p>Least and greatest value of each channel behind"
            + " a norm, on the first tokens of the calibration text at full precision: as the source"
            + " has them, and in the order and scale of the packed model.</p>\n");
    int shown = Math.min(ranges.size(), SHOWN_RANGES);
    for (int i = 0; i < shown; i++) {
      InputRanges of = ranges.get(shown == 1 ? 0 : i * (ranges.size() - 1) / (shown - 1));
      float least = Math.min(least(of.sourceMin()), least(of.packedMin()));
      float most = Math.max(greatest(of.sourceMax()), greatest(of.packedMax()));
      page.append("<h3>").append(escaped(of.norm())).append("</h3>\n");
      boolean same =
          Arrays.equals(of.sourceMin(), of.packedMin())
              && Arrays.equals(of.sourceMax(), of.packedMax());
      page.append(same ? "<p>Before and after, the same</p>\n" : "<p>Before</p>\n");
      page.append(SvgChart.ranges(of.sourceMin(), of.sourceMax(), least, most));
      if (!same) {
        page.append("<p>After</p>\n");
        page.append(SvgChart.ranges(of.packedMin(), of.packedMax(), least, most));
      }
    }
  }

  /** The least of the values and 0. */
  private static float least(float[] values) {
    float least = 0;
    for (float value : values) {
      least = Math.min(least, value);
    }
    return least;
  }

  /** The greatest of the values and 0. */
  private static float greatest(float[] values) {
    float greatest = 0;
    for (float value : values) {
      greatest = Math.max(greatest, value);
    }
    return greatest;
  }

  private static void figures(QuantizeReport report, StringBuilder page) {
    page.append("<table>\n");
    row(
        page,
        "Bits a weight",
        String.format(Locale.ROOT, "%.4f", report.summary().bitsPerWeight()));
    row(page, "Source", Quantities.bytes(report.summary().sourceBytes()));
    row(page, "Packed", Quantities.bytes(report.summary().packedBytes()));
    row(page, "Mean error", String.format(Locale.ROOT, "%.5f", report.meanError()));
    row(page, "Time", String.format(Locale.ROOT, "%.1f s", report.seconds()));
    report.products().ifPresent(products -> row(page, "Products", QuantizeReport.speed(products)));
    row(page, "Most Java heap", Quantities.bytes(report.peakHeapBytes()));
    report
        .perplexity()
        .ifPresent(scores -> {
          String of = " on " + scores.text() + ", " + scores.tokens() + " tokens";
          row(page, "Perplexity before", String.format(Locale.ROOT, "%.4f", scores.before()) + of);
          row(page, "Perplexity after", String.format(Locale.ROOT, "%.4f", scores.after()) + of);
        });
    page.append("</table>\n");
  }

  private static void row(StringBuilder page, String name, String value) {
    page.append("<tr><th>")
        .append(escaped(name))
        .append("</th><td>")
        .append(escaped(value))
        .append("</td></tr>\n");
  }

  private static void table(QuantizeReport report, StringBuilder page) {
    page.append("<h2>All linears</h2>\n<table>\n");
    for (LinearError linear : report.summary().linears()) {
      page.append("<tr><td>")
          .append(escaped(linear.name()))
          .append("</td><td class=\"n\">")
          .append(String.format(Locale.ROOT, "%.5f", linear.relativeError()))
          .append("</td></tr>\n");
    }
    page.append("</table>\n");
  }

  private static List<String> numbered(String what, int count) {
    return IntStream.rangeClosed(1, count).mapToObj(i -> what + " " + i).toList();
  }

  static String escaped(String text) {
    return text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("\"", "&quot;");
  }
}
