package dev.nibble.bench.report;

import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Origin;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Figures of other programs beside this project's, of the same shape on the same device. A ratio is
 * given only for figures of the same day.
 */
final class Comparison {
  private Comparison() {}

  /** A row: one thing that both did. */
  private record Subject(String name, String parameters) implements Comparable<Subject> {
    @Override
    public int compareTo(Subject other) {
      return (name + parameters).compareTo(other.name + other.parameters);
    }
  }

  static Optional<String> html(Figures figures) {
    Map<Subject, List<Measurement>> subjects = new TreeMap<>();
    for (Measurement m : figures.all()) {
      // No other program's product is one with a norm or a sum beside.
      if ((m.kind() == Kind.KERNEL || m.kind() == Kind.MODEL) && m.parameter("as").isEmpty()) {
        subjects.computeIfAbsent(subject(m), _ -> new ArrayList<>()).add(m);
      }
    }
    subjects.values().removeIf(rows -> rows.stream().allMatch(Comparison::isOurs));
    subjects.values().removeIf(rows -> rows.stream().noneMatch(Comparison::isOurs));
    if (subjects.isEmpty()) {
      return Optional.empty();
    }
    StringBuilder html = new StringBuilder("<h3>Beside other programs</h3>\n<table>");
    html.append("<tr><th>what<th>shape<th>program<th>scheme<th>median<th>least<th>most<th>unit");
    html.append("<th>day<th>Nibble's time in its time</tr>\n");
    subjects.forEach((subject, rows) -> rows(html, subject, rows));
    return Optional.of(html.append("</table>\n").toString());
  }

  private static boolean isOurs(Measurement m) {
    return m.origin() == Origin.MEASURED;
  }

  /** Products are one thing whichever kernel did them. */
  private static Subject subject(Measurement m) {
    boolean product = !m.parameter("shape").isEmpty() && !m.parameter("tokens").isEmpty();
    return product
        ? new Subject("product", m.parameter("shape") + ", " + m.parameter("tokens") + " tokens")
        : new Subject(
            m.name(),
            String.join(
                ", ",
                m.parameter("model"),
                m.parameter("tokens") + " tokens",
                "depth " + m.parameter("depth"),
                "batch " + m.parameter("batch")));
  }

  private static void rows(StringBuilder html, Subject subject, List<Measurement> rows) {
    for (Measurement row : rows) {
      html.append("<tr>");
      ReportPage.cell(html, subject.name());
      ReportPage.cell(html, subject.parameters());
      ReportPage.cell(html, isOurs(row) ? "Nibble" : row.parameter("program"));
      ReportPage.cell(html, row.parameter("scheme"));
      ReportPage.number(html, row.value().median());
      ReportPage.number(html, row.value().min());
      ReportPage.number(html, row.value().max());
      ReportPage.cell(html, row.unit());
      ReportPage.cell(html, day(row));
      ReportPage.cell(html, isOurs(row) ? "" : ratios(row, rows));
      html.append("</tr>\n");
    }
  }

  /** With each of ours of the same day. */
  private static String ratios(Measurement other, List<Measurement> rows) {
    List<String> ratios = new ArrayList<>();
    for (Measurement row : rows) {
      if (isOurs(row)) {
        ratio(row, other)
            .ifPresent(
                r -> ratios.add(String.format(Locale.ROOT, "%s %.2f", row.parameter("scheme"), r)));
      }
    }
    return String.join(", ", ratios);
  }

  /** Our time in another program's; none of another day or unit. */
  static Optional<Double> ratio(Measurement own, Measurement other) {
    if (!day(own).equals(day(other)) || !own.unit().equals(other.unit())) {
      return Optional.empty();
    }
    double ratio = own.value().median() / other.value().median();
    return Optional.of(own.unit().endsWith("/s") ? 1 / ratio : ratio);
  }

  private static String day(Measurement m) {
    String time = m.run().time();
    return time.substring(0, Math.min(10, time.length()));
  }
}
