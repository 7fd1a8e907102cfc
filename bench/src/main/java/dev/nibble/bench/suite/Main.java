package dev.nibble.bench.suite;

import dev.nibble.bench.report.Agree;
import dev.nibble.bench.report.Import;
import dev.nibble.bench.report.Report;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** {@code java -jar bench/target/benchmarks.jar}. */
@Command(
    name = "benchmarks",
    description = "Measure this machine, the calls, the kernels and whole models on it.",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    subcommands = {Report.class, Import.class, Agree.class},
    footer = {
      "",
      "'benchmarks jmh ...' hands everything after it to JMH; 'benchmarks jmh -h' tells its options."
    })
public final class Main implements Callable<Integer> {
  private static final String JMH = "jmh";

  /** Named sets of steps. */
  enum Profile {
    QUICK,
    FULL;

    String label() {
      return name().toLowerCase(Locale.ROOT);
    }

    String resource() {
      return label() + ".json";
    }
  }

  private final PrintStream out;

  @Option(
      names = "--profile",
      paramLabel = "quick|full",
      description =
          "quick: minutes, the steps of bench/cases/quick.json. full: about an hour, those of full.json."
              + " Default: quick.")
  private Profile profile = Profile.QUICK;

  @Option(
      names = "--steps",
      paramLabel = "FILE",
      description = "Do the steps of this file instead.")
  private @Nullable Path steps;

  @Option(
      names = "--only",
      paramLabel = "TEXT",
      description = "Do only the steps with this in their text, such as ForeignCalls.")
  private String only = "";

  @Option(
      names = "--results",
      paramLabel = "FILE",
      description =
          "Append measurements to this file; steps that it has of the same commit and machine are"
              + " not done again. Default: bench/results/<device>-<date>-<profile>.jsonl.")
  private @Nullable Path results;

  @Option(
      names = "--commit",
      paramLabel = "ID",
      description = "What is measured, where git cannot be asked.")
  private @Nullable String commit;

  @Option(names = "--list", description = "Print the steps and do none.")
  private boolean list;

  private Main(PrintStream out) {
    this.out = out;
  }

  /**
   * Runs the suite.
   *
   * @param args {@code --help} lists them
   * @throws IOException if JMH cannot write its output
   */
  public static void main(String[] args) throws IOException {
    if (args.length > 0 && args[0].equals(JMH)) {
      org.openjdk.jmh.Main.main(Arrays.copyOfRange(args, 1, args.length));
      return;
    }
    int code =
        new CommandLine(new Main(System.out))
            .setCaseInsensitiveEnumValuesAllowed(true)
            .setExecutionExceptionHandler(Main::complain)
            .execute(args);
    System.exit(code);
  }

  private static int complain(
      Exception failure, CommandLine command, CommandLine.ParseResult parsed) throws Exception {
    if (failure instanceof IOException || failure instanceof UncheckedIOException) {
      command.getErr().println(failure.getMessage());
      return CommandLine.ExitCode.SOFTWARE;
    }
    throw failure;
  }

  @Override
  public Integer call() throws IOException {
    try (SuiteRun suite =
        new SuiteRun(
            StepFile.parse(stepsName(), stepsText()),
            only,
            commit == null ? SuiteRun.commit() : commit,
            command(),
            out)) {
      if (list) {
        suite.list();
        return CommandLine.ExitCode.OK;
      }
      boolean whole = suite.run(results == null ? suite.defaultFile(profile.label()) : results);
      return whole ? CommandLine.ExitCode.OK : CommandLine.ExitCode.SOFTWARE;
    }
  }

  private String stepsName() {
    return steps == null ? profile.resource() : steps.toString();
  }

  private String stepsText() throws IOException {
    if (steps != null) {
      return Files.readString(steps);
    }
    try (var in = Main.class.getResourceAsStream(profile.resource())) {
      if (in == null) {
        throw new ParameterException(
            new CommandLine(this), profile.resource() + ": not in this jar; give --steps FILE");
      }
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  private String command() {
    return "java -jar bench/target/benchmarks.jar"
        + (steps == null ? " --profile " + profile.label() : "")
        + (only.isEmpty() ? "" : " --only " + only);
  }
}
