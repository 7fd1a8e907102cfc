package dev.nibble.runtime.cli;

import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import picocli.CommandLine;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.IParameterExceptionHandler;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;

/** Says in one line what went wrong, and gives its exit code. */
final class Failures implements IExecutionExceptionHandler, IParameterExceptionHandler {
  private final Nibble nibble;

  Failures(Nibble nibble) {
    this.nibble = nibble;
  }

  @Override
  public int handleExecutionException(Exception failure, CommandLine command, ParseResult parsed) {
    return report(failure, command.getCommandSpec().qualifiedName());
  }

  @Override
  public int handleParseException(ParameterException failure, String[] args) {
    return report(failure, failure.getCommandLine().getCommandSpec().qualifiedName());
  }

  private int report(Exception failure, String command) {
    ExitCode code = ExitCode.of(failure);
    if (code != ExitCode.CLOSED_OUTPUT) {
      String advice =
          switch (code) {
            case USAGE -> " (see '" + command + " --help')";
            case INTERNAL -> nibble.verbose() ? "" : " (run with --verbose for details)";
            default -> "";
          };
      nibble.host().messages().println(command + ": " + describe(failure) + advice);
      if (nibble.verbose()) {
        failure.printStackTrace(nibble.host().messages());
      }
    }
    return code.number();
  }

  /** One line. The JDK's file exceptions tell the path alone. */
  static String describe(Throwable failure) {
    String text =
        switch (failure) {
          case UncheckedIOException e when e.getCause() != null -> describe(e.getCause());
          case CharacterCodingException _ -> "standard input: expected UTF-8 text";
          case NoSuchFileException e when e.getReason() == null ->
              e.getFile() + ": no such file or folder";
          case NotDirectoryException e -> e.getFile() + ": is not a folder";
          case AccessDeniedException e when e.getReason() == null ->
              e.getFile() + ": permission denied";
          case FileSystemException e when e.getReason() != null ->
              e.getFile() + ": " + e.getReason();
          default ->
              failure.getMessage() == null || ExitCode.of(failure) == ExitCode.INTERNAL
                  ? "internal error: " + failure
                  : failure.getMessage();
        };
    return text.strip().replaceAll("[\\p{Cntrl}]+", " ");
  }
}
