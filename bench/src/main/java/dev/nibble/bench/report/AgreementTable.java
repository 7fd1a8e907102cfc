package dev.nibble.bench.report;

import dev.nibble.bench.result.Agreement;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Origin;
import dev.nibble.bench.result.ResultFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/** Two runs of one commit, kind by kind, where a folder of results has them. */
final class AgreementTable {
  private static final Agreement.Slack SLACK =
      new Agreement.Slack(
          Double.parseDouble(Agree.DEVICE) / 100, Double.parseDouble(Agree.HOST) / 100);

  private AgreementTable() {}

  /** The table in Markdown of the pair of files with the most figures in common. */
  static Optional<String> markdown(Path results) throws IOException {
    List<List<Measurement>> runs = new ArrayList<>();
    try (Stream<Path> files = Files.list(results)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".jsonl")).sorted().toList()) {
        runs.add(ResultFile.pooled(new ResultFile(file).read()));
      }
    }
    Optional<Agreement> most = Optional.empty();
    for (int a = 0; a < runs.size(); a++) {
      for (int b = a + 1; b < runs.size(); b++) {
        if (commits(runs.get(a)).equals(commits(runs.get(b)))) {
          Agreement found = Agreement.of(runs.get(a), runs.get(b), SLACK);
          most =
              Optional.of(most.filter(m -> m.pairs().size() >= found.pairs().size()).orElse(found));
        }
      }
    }
    return most.filter(m -> !m.pairs().isEmpty()).map(AgreementTable::markdown);
  }

  /** The commits whose code a run measured. */
  private static Set<String> commits(List<Measurement> run) {
    Set<String> commits = new HashSet<>();
    run.stream()
        .filter(m -> m.origin() == Origin.MEASURED)
        .forEach(m -> commits.add(m.run().commit()));
    return commits;
  }

  private static String markdown(Agreement found) {
    StringBuilder text = new StringBuilder();
    text.append("| kind | figures | spreads meet | at most ")
        .append(Agree.DEVICE)
        .append(" % apart (calls, CPU: ")
        .append(Agree.HOST)
        .append(" %; bytes: 5 %) | further | medians differ by, median | most |\n")
        .append("|---|---|---|---|---|---|---|\n");
    for (Kind kind : Kind.values()) {
      row(
          text,
          kind.name().toLowerCase(Locale.ROOT),
          found.only(pair -> pair.first().kind() == kind));
    }
    row(text, "all", found);
    return text.toString();
  }

  private static void row(StringBuilder text, String name, Agreement found) {
    int figures = found.pairs().size();
    if (figures > 0) {
      text.append(
          String.format(
              Locale.ROOT,
              "| %s | %d | %d | %d | %d | %.1f %% | %.1f %% |%n",
              name,
              figures,
              found.meeting(),
              figures - found.meeting() - found.apart().size(),
              found.apart().size(),
              100 * found.medianChange(),
              100 * found.mostChange()));
    }
  }
}
