package dev.nibble.bench.report;

import dev.nibble.bench.result.Agreement;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Reproducibility;
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
import picocli.CommandLine.Parameters;

/** {@code benchmarks agree}: holds one run to another. */
@Command(
    name = "agree",
    description = {
      "Hold a run to an earlier one: list every figure whose median lies outside what the earlier",
      "run says of another: its least to its most, and beyond by what runs of such figures differ",
      "by. Exit code 1 if there are any."
    },
    sortOptions = false)
public final class Agree implements Callable<Integer> {
  /** What is wider tells of two speeds, or of noise. */
  private static final double WIDE = 0.1;

  private final PrintStream out = System.out;

  @Parameters(index = "0", paramLabel = "EARLIER.jsonl", description = "One run's results.")
  private Path first = Path.of("");

  @Parameters(index = "1", paramLabel = "LATER.jsonl", description = "Another's.")
  private Path second = Path.of("");

  /** For the command line. */
  public Agree() {}

  @Override
  public Integer call() throws IOException {
    Agreement found = Agreement.of(read(first), read(second));
    List<Agreement.Pair> wide = found.pairs().stream().filter(pair -> pair.width() > WIDE).toList();
    list("Least and most are more than 10 % apart, so these agree easily:", wide);
    list("Elsewhere than expected:", found.apart());
    out.print(AgreementTable.markdown(found));
    out.printf(
        Locale.ROOT,
        "%d figures only in %s, %d only in %s.%n",
        found.onlyFirst(),
        first,
        found.onlySecond(),
        second);
    return found.apart().isEmpty() ? ExitCode.OK : ExitCode.SOFTWARE;
  }

  private void list(String heading, List<Agreement.Pair> pairs) {
    if (!pairs.isEmpty()) {
      out.println(heading);
    }
    for (Agreement.Pair pair : pairs) {
      Spread own = pair.first().value();
      Spread expected = Reproducibility.range(pair.first());
      out.printf(
          Locale.ROOT,
          "  %s %s [%s]: %.5g (%.5g to %.5g, another run %.5g to %.5g), then %.5g, %+.1f %%%n",
          pair.first().name(),
          pair.first().parameters(),
          pair.first().unit(),
          own.median(),
          own.min(),
          own.max(),
          expected.min(),
          expected.max(),
          pair.second().value().median(),
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
