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
      "Compare two files of results: list every figure whose spread (least to most) in one does",
      "not meet that in the other. Exit code 1 if there are any."
    },
    sortOptions = false)
public final class Agree implements Callable<Integer> {
  private final PrintStream out = System.out;

  @Parameters(index = "0", paramLabel = "A.jsonl", description = "One run's results.")
  private Path first = Path.of("");

  @Parameters(index = "1", paramLabel = "B.jsonl", description = "Another's.")
  private Path second = Path.of("");

  @Option(
      names = "--slack",
      paramLabel = "PERCENT",
      defaultValue = "0",
      description =
          "Widen both spreads by this much of the figure on either side. Default: ${DEFAULT-VALUE}.")
  private double slack;

  /** For the command line. */
  public Agree() {}

  @Override
  public Integer call() throws IOException {
    Agreement found = Agreement.of(read(first), read(second), slack / 100);
    for (Agreement.Pair pair : found.apart()) {
      out.printf(
          Locale.ROOT,
          "%s %s [%s]: %.5g (%.5g to %.5g), then %.5g (%.5g to %.5g), %+.1f %%%n",
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
    out.printf(
        Locale.ROOT,
        "%d of %d figures lie apart, medians differ by %.1f %% at the median and %.1f %% at most;"
            + " %d only in %s, %d only in %s%n",
        found.apart().size(),
        found.pairs().size(),
        100 * found.medianChange(),
        100 * found.mostChange(),
        found.onlyFirst(),
        first,
        found.onlySecond(),
        second);
    return found.apart().isEmpty() ? ExitCode.OK : ExitCode.SOFTWARE;
  }

  private static List<Measurement> read(Path path) throws IOException {
    if (!Files.exists(path)) {
      throw new NoSuchFileException(path.toString());
    }
    return new ResultFile(path).read();
  }
}
