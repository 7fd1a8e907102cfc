package dev.nibble.bench.report;

import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Origin;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Predicate;

/**
 * The deployment table of OmniQuant (Shao et al. 2024, Table 3: MLC-LLM on an NVIDIA A100 80GB, 512
 * tokens) with this project's figures, which are of another GPU.
 */
final class DeploymentTable {
  /** Of the paper. */
  static final List<String> MODELS = List.of("llama-2-7b", "llama-2-13b");

  /** Of the paper. */
  static final List<String> SCHEMES = List.of("W16A16", "W4A16g128", "W3A16g128", "W2A16g128");

  private static final String DEPTH = "512";
  private static final double GIGA = 1e9;

  private DeploymentTable() {}

  /**
   * The table.
   *
   * @param own figures of a device
   * @param all of every device, the published and computed ones among them
   * @return HTML, empty if the device decoded none of the models
   */
  static Optional<String> html(Figures own, List<Measurement> all) {
    StringBuilder html = new StringBuilder("<h3>OmniQuant's deployment table</h3>\n<p>Ours on ");
    html.append(ReportPage.escaped(own.device()))
        .append(", batch 1, 512 tokens in the cache; the paper's with MLC-LLM on an NVIDIA A100")
        .append(
            " 80GB: another GPU, so no ratios. Weights and running memory in GB; running memory")
        .append(
            " is what came into use on the GPU for that run, by NVML.</p>\n<table><tr><th>model<th>scheme")
        .append("<th>weights<th>paper<th>running<th>paper<th>tokens/s<th>paper</tr>\n");
    boolean any = false;
    for (String model : MODELS) {
      for (String scheme : SCHEMES) {
        Optional<Measurement> speed =
            find(own.all(), "decode", model, scheme, Origin.MEASURED, DeploymentTable::isBase);
        any |= speed.isPresent();
        html.append("<tr>");
        ReportPage.cell(html, model);
        ReportPage.cell(html, scheme);
        cell(
            html,
            find(
                own.all(),
                "decode.weight",
                model,
                scheme,
                Origin.MEASURED,
                DeploymentTable::isBase),
            GIGA);
        cell(html, find(all, "weights", model, scheme, Origin.PUBLISHED, _ -> true), GIGA);
        cell(
            html,
            find(
                own.all(),
                "decode.device",
                model,
                scheme,
                Origin.MEASURED,
                DeploymentTable::isBase),
            GIGA);
        cell(html, find(all, "running", model, scheme, Origin.PUBLISHED, _ -> true), GIGA);
        cell(html, speed, 1);
        cell(html, find(all, "decode", model, scheme, Origin.PUBLISHED, _ -> true), 1);
        html.append("</tr>\n");
      }
    }
    return any ? Optional.of(html.append("</table>\n").toString()) : Optional.empty();
  }

  /** Whether it is of one sequence of the table's length. */
  static boolean isBase(Measurement m) {
    return m.parameter("batch").equals("1") && m.parameter("depth").equals(DEPTH);
  }

  private static Optional<Measurement> find(
      List<Measurement> all,
      String name,
      String model,
      String scheme,
      Origin origin,
      Predicate<Measurement> wanted) {
    return all.stream()
        .filter(m -> m.kind() == Kind.MODEL || m.kind() == Kind.MEMORY)
        .filter(m -> m.name().equals(name) && m.origin() == origin)
        .filter(m -> m.parameter("model").equals(model) && m.parameter("scheme").equals(scheme))
        .filter(wanted)
        .findFirst();
  }

  private static void cell(StringBuilder html, Optional<Measurement> figure, double unit) {
    html.append("<td class=\"n\">")
        .append(
            figure
                .map(m -> String.format(Locale.ROOT, "%.4g", m.value().median() / unit))
                .orElse(""))
        .append("</td>");
  }
}
