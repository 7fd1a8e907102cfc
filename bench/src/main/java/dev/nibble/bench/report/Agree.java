package dev.nibble.bench.report;

import dev.nibble.bench.result.Agreement;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.ResultFile;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code benchmarks agree}: compares two runs. */
@Command(
    name = "agree",
    description = {
      "Compare two files of results: list every figure whose spread (least to most) in one lies",
      "further from that in the other than two machines may differ. Exit code 1 if there are any."
    },
    sortOptions = false)
public final class Agree implements Callable<Integer> {
  /** What is wider tells of two speeds, or of noise. */
  private static final double WIDE = 0.1;

  /**
   * Shares, in percent: what {@code read}, {@code copy} and {@code graph_node} of H200s of one host
   * differed by, and what the CPU's calls on shared virtual machines do.
   */
  static final String DEVICE = "2";

  static final String HOST = "15";

  private final PrintStream out = System.out;

  @Parameters(index = "0", paramLabel = "A.jsonl", description = "One run's results.")
  private Path first = Path.of("");

  @Parameters(index = "1", paramLabel = "B.jsonl", description = "Another's.")
  private Path second = Path.of("");

  @Option(
      names = "--slack",
      paramLabel = "PERCENT",
      defaultValue = DEVICE,
      description =
          "What may lie between two spreads of a GPU's figure, as a share of it."
              + " Default: ${DEFAULT-VALUE}.")
  private double device;

  @Option(
      names = "--host-slack",
      paramLabel = "PERCENT",
      defaultValue = HOST,
      description =
          "The same of calls and of figures of the CPU. Default: ${DEFAULT-VALUE}; the CPUs of"
              + " shared machines differ by that from minute to minute.")
  private double host;

  /** For the command line. */
  public Agree() {}

  @Override
  public Integer call() throws IOException {
    Agreement found =
        Agreement.of(read(first), read(second), new Agreement.Slack(device / 100, host / 100));
    List<Agreement.Pair> wide = found.pairs().stream().filter(pair -> pair.width() > WIDE).toList();
    list("Least and most of one run are more than 10 % apart, so these meet easily:", wide);
    list("Further apart than allowed:", found.apart());
    out.printf(
        Locale.ROOT,
        "Of %d figures the spreads of %d meet, of %d they are no more than %s %% apart (calls and"
            + " CPU: %s %%; bytes: 5 %%), of %d further. Medians differ by %.1f %% at the median"
            + " and %.1f %% at most. %d only in %s, %d only in %s.%n",
        found.pairs().size(),
        found.meeting(),
        found.pairs().size() - found.meeting() - found.apart().size(),
        number(device),
        number(host),
        found.apart().size(),
        100 * found.medianChange(),
        100 * found.mostChange(),
        found.onlyFirst(),
        first,
        found.onlySecond(),
        second);
    return found.apart().isEmpty() ? ExitCode.OK : ExitCode.SOFTWARE;
  }

  private static String number(double percent) {
    return percent == Math.rint(percent)
        ? String.format(Locale.ROOT, "%.0f", percent)
        : Double.toString(percent);
  }

  private void list(String heading, List<Agreement.Pair> pairs) {
    if (!pairs.isEmpty()) {
      out.println(heading);
    }
    for (Agreement.Pair pair : pairs) {
      out.printf(
          Locale.ROOT,
          "  %s %s [%s]: %.5g (%.5g to %.5g), then %.5g (%.5g to %.5g), %+.1f %%%n",
          pair.first().name(),
          pair.first().parameters(),
          pair.first().unit(),
          pair.first().value().median(),
          pair.first().value().min(),
          pair.first().value().max(),
          pair.second().value().median(),
          pair.second().value().min(),
          pair.second().value().max(),
          100 * pair.change());
    }
  }

  private static List<Measurement> read(Path path) throws IOException {
    if (!Files.exists(path)) {
      throw new NoSuchFileException(path.toString());
    }
    return ResultFile.pooled(new ResultFile(path).read());
  }
}
