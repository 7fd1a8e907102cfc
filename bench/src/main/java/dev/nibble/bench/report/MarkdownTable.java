package dev.nibble.bench.report;

import dev.nibble.bench.result.Measurement;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** A table in Markdown, row by row. */
final class MarkdownTable {
  static final String NOTHING = "Not measured yet.\n";

  private final StringBuilder text = new StringBuilder();
  private int rows;

  MarkdownTable(List<String> names) {
    line(names);
    text.append("|---".repeat(names.size())).append("|\n");
  }

  MarkdownTable(String... names) {
    this(List.of(names));
  }

  void add(List<String> cells) {
    line(cells);
    rows++;
  }

  void add(String... cells) {
    add(List.of(cells));
  }

  private void line(List<String> cells) {
    text.append("| ").append(String.join(" | ", cells)).append(" |\n");
  }

  String text() {
    return rows == 0 ? NOTHING : text.toString();
  }

  static String number(double value) {
    return value >= 1000
        ? String.format(Locale.ROOT, "%,.0f", value)
        : String.format(Locale.ROOT, "%.3g", value);
  }

  static String range(Measurement.Spread spread) {
    return number(spread.min()) + " to " + number(spread.max());
  }

  static String percent(double share) {
    return String.format(Locale.ROOT, "%.0f %%", 100 * share);
  }

  static String median(Optional<Measurement> figure) {
    return median(figure, 1);
  }

  /** In another unit, so many of the figure's. */
  static String median(Optional<Measurement> figure, double unit) {
    return figure.map(m -> number(m.value().median() / unit)).orElse("");
  }
}
