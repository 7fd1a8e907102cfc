package dev.nibble.bench.report;

import dev.nibble.bench.result.Agreement;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Origin;
import dev.nibble.bench.result.Reproducibility;
import dev.nibble.bench.result.ResultFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Each two runs of a folder of results that have figures in common, sort by sort. */
final class AgreementTable {
  private AgreementTable() {}

  private record Pair(Set<String> commits, Agreement found) {
    /** Of one commit first, then those with the most figures. */
    private static final Comparator<Pair> NEAREST =
        Comparator.comparing((Pair pair) -> pair.commits.size())
            .thenComparing(pair -> -pair.found.pairs().size());
  }

  /** Tables in Markdown, the later run held to the earlier; each names the commits. */
  static Optional<String> markdown(Path results) throws IOException {
    List<List<Measurement>> runs = new ArrayList<>();
    try (Stream<Path> files = Files.list(results)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".jsonl")).sorted().toList()) {
        runs.add(ResultFile.pooled(new ResultFile(file).read()));
      }
    }
    runs.removeIf(List::isEmpty);
    runs.sort(Comparator.comparing(run -> run.getFirst().run().time()));
    List<Pair> pairs = new ArrayList<>();
    for (int a = 0; a < runs.size(); a++) {
      for (int b = a + 1; b < runs.size(); b++) {
        // Another profile measures a part of the figures, under other conditions.
        if (!commands(runs.get(a)).equals(commands(runs.get(b)))) {
          continue;
        }
        Set<String> commits = commits(runs.get(a));
        commits.addAll(commits(runs.get(b)));
        pairs.add(new Pair(commits, Agreement.of(runs.get(a), runs.get(b))));
      }
    }
    return pairs.stream()
        .filter(pair -> !pair.found.pairs().isEmpty())
        .sorted(Pair.NEAREST)
        .map(AgreementTable::markdown)
        .reduce((first, next) -> first + "\n" + next);
  }

  /** The commits whose code a run measured. */
  private static Set<String> commits(List<Measurement> run) {
    Set<String> commits = new TreeSet<>();
    run.stream()
        .filter(m -> m.origin() == Origin.MEASURED)
        .forEach(m -> commits.add(m.run().commit()));
    return commits;
  }

  private static Set<String> commands(List<Measurement> run) {
    return run.stream()
        .filter(m -> m.origin() == Origin.MEASURED)
        .map(m -> m.run().command())
        .collect(Collectors.toSet());
  }

  private static String markdown(Pair pair) {
    return "Of " + String.join(" and ", pair.commits) + ":\n\n" + markdown(pair.found);
  }

  /** A comparison, a row for each sort of figures. */
  static String markdown(Agreement found) {
    StringBuilder text = new StringBuilder();
    text.append("| figures | how many | expected beyond least and most | as expected | elsewhere")
        .append(" | medians differ by, median | most |\n|---|---|---|---|---|---|---|\n");
    for (Reproducibility sort : Reproducibility.values()) {
      row(
          text,
          sort.label(),
          String.format(Locale.ROOT, "%.2g %%", 100 * sort.share()),
          found.only(pair -> Reproducibility.of(pair.first()) == sort));
    }
    row(text, "all", "", found);
    return text.toString();
  }

  private static void row(StringBuilder text, String name, String share, Agreement found) {
    int figures = found.pairs().size();
    if (figures > 0) {
      int apart = found.apart().size();
      text.append(
          String.format(
              Locale.ROOT,
              "| %s | %d | %s | %d | %d | %.1f %% | %.1f %% |%n",
              name,
              figures,
              share,
              figures - apart,
              apart,
              100 * found.medianChange(),
              100 * found.mostChange()));
    }
  }
}
