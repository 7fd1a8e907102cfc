package dev.nibble.runtime.cli;

import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.method.FolderBusyException;
import dev.nibble.runtime.cuda.CudaException;
import dev.nibble.runtime.engine.NonFiniteLogitsException;
import dev.nibble.runtime.model.DeviceException;
import dev.nibble.runtime.model.UnfitModelException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import picocli.CommandLine.ParameterException;

/** What the process tells its caller; the numbers of sysexits.h, and of signals from 128 on. */
enum ExitCode {
  OK(0, "done"),
  USAGE(64, "the command line is wrong"),
  BAD_INPUT(65, "an input file is damaged or not supported"),
  NO_INPUT(66, "an input file does not exist"),
  UNAVAILABLE(69, "the device, its driver or a JDK 25 is missing"),
  INTERNAL(70, "a fault of Nibble itself, or too little memory"),
  IO(74, "reading or writing failed"),
  TRY_AGAIN(75, "something else is at work there: try again later"),
  INTERRUPTED(130, "stopped by SIGINT"),
  CLOSED_OUTPUT(141, "standard output was closed by its reader");

  private final int number;
  private final String meaning;

  ExitCode(int number, String meaning) {
    this.number = number;
    this.meaning = meaning;
  }

  int number() {
    return number;
  }

  String meaning() {
    return meaning;
  }

  /** The only place where failures become exit codes. */
  static ExitCode of(Throwable failure) {
    return switch (failure) {
      case UncheckedIOException e when e.getCause() != null -> of(e.getCause());
      case ParameterException wrong -> USAGE;
      case IllegalArgumentException wrong -> USAGE;
      case ClosedOutputException closed -> CLOSED_OUTPUT;
      case ModelFormatException bad -> BAD_INPUT;
      case UnfitInputException unfit -> BAD_INPUT;
      case UnfitModelException unfit -> BAD_INPUT;
      case NonFiniteLogitsException damaged -> BAD_INPUT;
      case CharacterCodingException garbled -> BAD_INPUT;
      case NoSuchFileException missing -> NO_INPUT;
      case FileNotFoundException missing -> NO_INPUT;
      case NotDirectoryException missing -> NO_INPUT;
      case DeviceException absent -> UNAVAILABLE;
      case CudaException broken -> UNAVAILABLE;
      case FolderBusyException busy -> TRY_AGAIN;
      case IOException other -> IO;
      default -> INTERNAL;
    };
  }
}
