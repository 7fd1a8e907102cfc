package dev.nibble.quantizer.method;

import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.method.CalibratedQuantizer.Calibration;
import dev.nibble.quantizer.method.CalibratedQuantizer.Interrupted;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import dev.nibble.quantizer.method.FolderQuantizer.Request;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** Calibrates in a JVM of its own, going on from what an earlier one left. */
final class CalibrateProcess {
  private static final int SAMPLES = 2;
  private static final int CONTEXT = 64;

  private CalibrateProcess() {}

  /** Arguments: source, destination, scheme, method, text, threads. */
  public static void main(String[] args) {
    try {
      CalibratedQuantizer.quantize(
          new Request(
              Path.of(args[0]),
              Path.of(args[1]),
              QuantScheme.parse(args[2]),
              Existing.KEEP,
              Integer.parseInt(args[5])),
          MethodCatalog.create(args[3], MethodCatalog.Options.DEFAULT),
          new Calibration(Path.of(args[4]), SAMPLES, CONTEXT, 1, Interrupted.RESUME),
          CalibratedQuantizerTest.silent());
    } catch (IOException e) {
      System.err.println(e.getMessage());
      System.exit(QuantizeProcess.IO_ERROR);
    }
  }

  /** The command line. */
  static List<String> command(
      Path source, Path destination, String scheme, String method, Path text, int threads) {
    List<String> command = QuantizeProcess.java(CalibrateProcess.class, "512m");
    command.addAll(
        List.of(
            source.toString(),
            destination.toString(),
            scheme,
            method,
            text.toString(),
            Integer.toString(threads)));
    return command;
  }
}
