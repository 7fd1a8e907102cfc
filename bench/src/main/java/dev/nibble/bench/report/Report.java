package dev.nibble.bench.report;

import dev.nibble.bench.SourceTree;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.ResultFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code benchmarks report}: draws the results. */
@Command(
    name = "report",
    description = {
      "Draw the results: charts as PNG, one page that holds everything, and the tables of a text",
      "between '<!-- figures: NAME -->' and '<!-- end -->'."
    },
    sortOptions = false)
public final class Report implements Runnable {
  @Option(
      names = "--results",
      paramLabel = "DIR",
      description = "Where the results are. Default: bench/results.")
  private Path results = SourceTree.file("bench/results");

  @Option(
      names = "--charts",
      paramLabel = "DIR",
      description = "Where the charts go. Default: bench/charts.")
  private Path charts = SourceTree.file("bench/charts");

  @Option(
      names = "--page",
      paramLabel = "FILE",
      description = "Where the page goes. Default: bench/target/report.html.")
  private Path page = SourceTree.file("bench/target/report.html");

  @Option(
      names = "--tables",
      paramLabel = "FILE",
      description = "A text whose tables are filled. Default: README.md and bench/RESULTS.md.")
  private List<Path> tables =
      List.of(SourceTree.file("README.md"), SourceTree.file("bench/RESULTS.md"));

  /** For the command line. */
  public Report() {}

  @Override
  public void run() {
    try {
      List<Measurement> latest = ResultFile.latest(results);
      draw(latest, charts, page);
      Optional<String> agreement = AgreementTable.markdown(results);
      for (Path text : tables) {
        fill(latest, charts, agreement, text);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e.getMessage(), e);
    }
  }

  static void draw(List<Measurement> measurements, Path charts, Path page) throws IOException {
    Map<Figures, List<Chart>> devices = new LinkedHashMap<>();
    for (String device : devices(measurements)) {
      Figures figures = Figures.of(device, measurements);
      devices.put(figures, Charts.of(figures));
    }
    Files.createDirectories(charts);
    for (Map.Entry<Figures, List<Chart>> device : devices.entrySet()) {
      for (Chart chart : device.getValue()) {
        Files.write(charts.resolve(fileName(device.getKey().device(), chart)), chart.png());
      }
    }
    Path folder = page.toAbsolutePath().getParent();
    if (folder != null) {
      Files.createDirectories(folder);
    }
    Files.writeString(page, ReportPage.of(devices));
  }

  /** Fills a text's tables with the figures of the GPU that has the most. */
  static void fill(
      List<Measurement> measurements, Path charts, Optional<String> agreement, Path text)
      throws IOException {
    for (String device : devices(measurements)) {
      Figures figures = Figures.of(device, measurements);
      if (figures.all().stream().anyMatch(m -> !m.machine().driver().isEmpty())) {
        String before = Files.readString(text);
        List<String> pictures = pictures(charts, text);
        ReadmeTables filled = new ReadmeTables(figures, measurements, pictures, agreement);
        Files.writeString(text, filled.fill(before));
        return;
      }
    }
  }

  /** The pictures of a folder, from the folder of a text. */
  private static List<String> pictures(Path charts, Path text) throws IOException {
    Path folder = text.toAbsolutePath().getParent();
    try (Stream<Path> files = Files.list(charts)) {
      return files
          .filter(file -> file.toString().endsWith(".png"))
          .map(Path::toAbsolutePath)
          .map(file -> folder == null ? file : folder.relativize(file))
          .map(Path::toString)
          .sorted()
          .toList();
    }
  }

  /** Devices with the most figures first. */
  private static List<String> devices(List<Measurement> measurements) {
    Map<String, Integer> counts = new LinkedHashMap<>();
    measurements.forEach(m -> counts.merge(m.machine().device(), 1, Integer::sum));
    return counts.entrySet().stream()
        .sorted(Map.Entry.<String, Integer>comparingByValue().reversed())
        .map(Map.Entry::getKey)
        .toList();
  }

  private static String fileName(String device, Chart chart) {
    return device.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]+", "-")
        + "-"
        + chart.name()
        + ".png";
  }
}
