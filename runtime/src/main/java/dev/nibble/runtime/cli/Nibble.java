package dev.nibble.runtime.cli;

import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.model.Device;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Function;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Help.Ansi;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** The command {@code nibble} itself: its subcommands, and what they share. */
@Command(
    name = "nibble",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    scope = ScopeType.INHERIT,
    sortOptions = false,
    usageHelpAutoWidth = true,
    description = "Runs quantized LLaMA-family models, on NVIDIA GPUs and without one.")
final class Nibble implements Runnable {
  private final Host host;

  @Option(
      names = {"-v", "--verbose"},
      scope = ScopeType.INHERIT,
      description = "Say more on standard error, stack traces included.")
  private boolean verbose;

  @Spec private CommandSpec spec = CommandSpec.create();

  private Nibble(Host host) {
    this.host = host;
  }

  /** Runs a command line and gives its exit code. */
  static int run(Host host, String... args) {
    try {
      return commandLine(host).execute(args);
    } catch (OutOfMemoryError e) {
      host.messages()
          .printf(
              "nibble: not enough memory: %s; a shorter --context needs less%n", e.getMessage());
      return ExitCode.INTERNAL.number();
    }
  }

  /** The whole command line. */
  static CommandLine commandLine(Host host) {
    Nibble nibble = new Nibble(host);
    CommandLine line = new CommandLine(nibble);
    line.addSubcommand(new RunCommand(host))
        .addSubcommand(new ChatCommand(host))
        .addSubcommand(new QuantizeCommand(host))
        .addSubcommand(new PerplexityCommand(host))
        .addSubcommand(new LogitsCommand(host))
        .addSubcommand(new TokenizeCommand(host))
        .addSubcommand(new DetokenizeCommand(host))
        .addSubcommand(new InspectCommand(host))
        .addSubcommand(new BenchCommand(host))
        .addSubcommand(new DoctorCommand(host));
    Failures failures = new Failures(nibble);
    line.registerConverter(Device.class, named(Device::parse))
        .registerConverter(QuantScheme.class, named(QuantScheme::parse))
        .registerConverter(Path.class, named(Nibble::path))
        .setCaseInsensitiveEnumValuesAllowed(true)
        .setOverwrittenOptionsAllowed(false)
        .setColorScheme(CommandLine.Help.defaultColorScheme(Ansi.OFF))
        .setOut(host.results().writer())
        .setErr(new PrintWriter(host.messages(), true, StandardCharsets.UTF_8))
        .setParameterExceptionHandler(failures)
        .setExecutionExceptionHandler(failures)
        .setExecutionStrategy(nibble::execute);
    line.getCommandSpec()
        .usageMessage()
        .exitCodeListHeading("%nExit codes:%n")
        .exitCodeList(exitCodes());
    return line;
  }

  private int execute(ParseResult parsed) {
    logTo(verbose ? "debug" : "warn");
    return new CommandLine.RunLast().execute(parsed);
  }

  /** Loggers take their settings when the first of them is made, which is after this. */
  private static void logTo(String level) {
    System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", level);
    System.setProperty("org.slf4j.simpleLogger.showThreadName", "false");
    System.setProperty("org.slf4j.simpleLogger.showShortLogName", "true");
  }

  private static Map<String, String> exitCodes() {
    Map<String, String> codes = new LinkedHashMap<>();
    for (ExitCode code : ExitCode.values()) {
      codes.put(Integer.toString(code.number()), code.meaning());
    }
    return codes;
  }

  /** A path; an empty one would be the working folder, which an unset variable does not mean. */
  private static Path path(String text) {
    if (text.isEmpty()) {
      throw new IllegalArgumentException("expected a path, found nothing");
    }
    return Path.of(text);
  }

  /** Keeps a parser's own words; picocli would wrap them in the names of classes. */
  private static <T> ITypeConverter<T> named(Function<String, T> parse) {
    return text -> {
      try {
        return parse.apply(text);
      } catch (IllegalArgumentException e) {
        throw new TypeConversionException(e.getMessage());
      }
    };
  }

  Host host() {
    return host;
  }

  boolean verbose() {
    return verbose;
  }

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "expected a command");
  }
}
