package dev.nibble.bench.report;

import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Origin;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * The deployment table of OmniQuant (Shao et al. 2024, Table 3: MLC-LLM on an NVIDIA A100 80GB, 512
 * tokens) with this project's figures, which are of another GPU.
 */
final class DeploymentTable {
  private static final List<String> MODELS = List.of("llama-2-7b", "llama-2-13b");
  private static final List<String> SCHEMES =
      List.of("W16A16", "W4A16g128", "W3A16g128", "W2A16g128");

  private DeploymentTable() {}

  /** Columns, by our name of the figure and the one that stands for the paper's. */
  private enum Column {
    WEIGHTS("decode.weight", "weights", 1e9),
    RUNNING("decode.device", "running", 1e9),
    SPEED("decode", "decode", 1);

    private final String own;
    private final String paper;
    private final double unit;

    Column(String own, String paper, double unit) {
      this.own = own;
      this.paper = paper;
      this.unit = unit;
    }
  }

  /** A figure of ours and the paper's. */
  private record Cell(Column column, Optional<Measurement> own, Optional<Measurement> paper) {
    String text() {
      String ours = MarkdownTable.median(own, column.unit);
      return (ours.isEmpty() ? "-" : ours) + " / " + MarkdownTable.median(paper, column.unit);
    }

    void html(StringBuilder html) {
      for (Optional<Measurement> figure : List.of(own, paper)) {
        html.append("<td class=\"n\">")
            .append(
                figure
                    .map(m -> String.format(Locale.ROOT, "%.4g", m.value().median() / column.unit))
                    .orElse(""))
            .append("</td>");
      }
    }
  }

  private record Row(String model, String scheme, List<Cell> cells) {
    static List<Row> of(Figures own, List<Measurement> all) {
      List<Row> rows = new ArrayList<>();
      for (String model : MODELS) {
        for (String scheme : SCHEMES) {
          List<Cell> cells = new ArrayList<>();
          for (Column column : Column.values()) {
            cells.add(
                new Cell(
                    column,
                    own.latest(m -> isOurs(m, column) && isOf(m, model, scheme)),
                    Figures.latest(all, m -> isPublished(m, column) && isOf(m, model, scheme))));
          }
          rows.add(new Row(model, scheme, cells));
        }
      }
      return rows;
    }

    private static boolean isOf(Measurement m, String model, String scheme) {
      return m.parameter("model").equals(model) && m.parameter("scheme").equals(scheme);
    }

    /** Of one sequence of the table's length. */
    private static boolean isOurs(Measurement m, Column column) {
      return m.origin() == Origin.MEASURED
          && m.name().equals(column.own)
          && m.parameter("batch").equals("1")
          && m.parameter("depth").equals(Charts.BASE_DEPTH);
    }

    private static boolean isPublished(Measurement m, Column column) {
      return m.origin() == Origin.PUBLISHED && m.name().equals(column.paper);
    }
  }

  /**
   * The table for a page.
   *
   * @param own figures of a device
   * @param all of every device, the published ones among them
   * @return HTML, empty if the device decoded none of the models
   */
  static Optional<String> html(Figures own, List<Measurement> all) {
    List<Row> rows = Row.of(own, all);
    if (rows.stream().flatMap(row -> row.cells.stream()).allMatch(cell -> cell.own.isEmpty())) {
      return Optional.empty();
    }
    StringBuilder html = new StringBuilder("<h3>OmniQuant's deployment table</h3>\n<p>Ours on ");
    html.append(ReportPage.escaped(own.device()))
        .append(", batch 1, 512 tokens in the cache; the paper's with MLC-LLM on an NVIDIA A100")
        .append(" 80GB: another GPU, so no ratios. Weights and running memory in GB; running")
        .append(" memory is what came into use on the GPU for that run, by NVML.</p>\n<table><tr>")
        .append("<th>model<th>scheme<th>weights<th>paper<th>running<th>paper<th>tokens/s")
        .append("<th>paper</tr>\n");
    for (Row row : rows) {
      html.append("<tr>");
      ReportPage.cell(html, row.model);
      ReportPage.cell(html, row.scheme);
      row.cells.forEach(cell -> cell.html(html));
      html.append("</tr>\n");
    }
    return Optional.of(html.append("</table>\n").toString());
  }

  /** The same for a text: of each figure ours, and the paper's. */
  static String markdown(Figures own, List<Measurement> all) {
    MarkdownTable table =
        new MarkdownTable("model", "scheme", "weights, GB", "running, GB", "tokens/s");
    for (Row row : Row.of(own, all)) {
      List<String> cells = new ArrayList<>(List.of(row.model, row.scheme));
      row.cells.forEach(cell -> cells.add(cell.text()));
      table.add(cells);
    }
    return table.text();
  }
}
