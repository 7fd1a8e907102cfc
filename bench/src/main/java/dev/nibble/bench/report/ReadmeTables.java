package dev.nibble.bench.report;

import dev.nibble.bench.result.Measurement;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Tables of a GPU's figures in a text of Markdown, each between {@code <!-- figures: NAME -->} and
 * {@code <!-- end -->}.
 */
final class ReadmeTables {
  private static final Pattern PLACE =
      Pattern.compile("(?s)(<!-- figures: ([a-z]+) -->\n).*?(<!-- end -->)");

  private final Figures gpu;
  private final List<Measurement> all;
  private final List<String> charts;
  private final Optional<String> agreement;

  /**
   * Takes the figures.
   *
   * @param gpu of the device that the tables tell of
   * @param all of every device, the published ones among them
   * @param charts paths of pictures, from the text's folder
   * @param agreement of two runs, as a table
   */
  ReadmeTables(
      Figures gpu, List<Measurement> all, List<String> charts, Optional<String> agreement) {
    this.gpu = gpu;
    this.all = all;
    this.charts = List.copyOf(charts);
    this.agreement = agreement;
  }

  /**
   * Fills the places of a text.
   *
   * @param text with places for tables
   * @return the text with today's tables
   * @throws IllegalArgumentException if a place has a name that no table has
   */
  String fill(String text) {
    Matcher places = PLACE.matcher(text);
    return places.replaceAll(place ->
        Matcher.quoteReplacement(
            place.group(1) + "\n" + table(place.group(2)) + "\n" + place.group(3)));
  }

  private String table(String name) {
    KernelTables kernels = new KernelTables(gpu);
    ModelTables models = new ModelTables(gpu);
    return switch (name) {
      case "targets" -> Targets.markdown(gpu);
      case "ceilings" -> kernels.ceilings();
      case "products" -> kernels.products();
      case "peers" -> kernels.peers();
      case "attention" -> kernels.attention();
      case "calls" -> kernels.calls();
      case "step" -> new StepTable(gpu, Charts.BASE_SCHEME).markdown();
      case "steps" -> steps();
      case "base" -> models.base();
      case "decode" -> models.decode();
      case "prefill" -> models.prefill();
      case "batch" -> models.batch();
      case "loading" -> models.loading();
      case "deployment" -> DeploymentTable.markdown(gpu, all);
      case "memory" -> MemoryTable.markdown(all).orElse(MarkdownTable.NOTHING);
      case "agreement" -> agreement.orElse(MarkdownTable.NOTHING);
      case "charts" -> pictures();
      default -> throw new IllegalArgumentException("no table is called '" + name + "'");
    };
  }

  /** The step's parts at the base point's other widths. */
  private String steps() {
    return Stream.of("W3A16g128", "W2A16g128")
        .map(scheme -> scheme + ":\n\n" + new StepTable(gpu, scheme).markdown())
        .collect(Collectors.joining("\n"));
  }

  private String pictures() {
    StringBuilder text = new StringBuilder();
    for (String chart : charts) {
      String name =
          chart.substring(chart.lastIndexOf('/') + 1).replace(".png", "").replace('-', ' ');
      text.append("![").append(name).append("](").append(chart).append(")\n");
    }
    return text.toString();
  }
}
