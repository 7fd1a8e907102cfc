package dev.nibble.quantizer.method;

import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import dev.nibble.quantizer.method.FolderQuantizer.Listener;
import dev.nibble.quantizer.method.FolderQuantizer.Request;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Quantizes in a JVM of its own, which can be killed or starved. */
final class QuantizeProcess {
  static final int DONE = 0;
  static final int EXISTS = 64;
  static final int IO_ERROR = 74;
  static final int BUSY = 75;

  private QuantizeProcess() {}

  /** Arguments: source, destination, scheme, KEEP or REPLACE, threads. */
  public static void main(String[] args) {
    Request request =
        new Request(
            Path.of(args[0]),
            Path.of(args[1]),
            QuantScheme.parse(args[2]),
            Existing.valueOf(args[3]),
            Integer.parseInt(args[4]));
    System.exit(run(request));
  }

  private static int run(Request request) {
    try {
      FolderQuantizer.quantize(request, Listener.SILENT);
      return DONE;
    } catch (FolderExistsException e) {
      return EXISTS;
    } catch (FolderBusyException e) {
      return BUSY;
    } catch (IOException e) {
      System.err.println(e.getMessage());
      return IO_ERROR;
    }
  }

  /** The command line. */
  static List<String> command(
      String heap, Path source, Path destination, String scheme, Existing existing) {
    List<String> command = java(QuantizeProcess.class, heap);
    command.add(source.toString());
    command.add(destination.toString());
    command.add(scheme);
    command.add(existing.name());
    command.add("2");
    return command;
  }

  /** A command line up to the arguments of a class of these tests. */
  static List<String> java(Class<?> main, String heap) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("-Xmx" + heap);
    command.add("--add-modules=jdk.incubator.vector");
    command.add("-cp");
    command.add(
        String.join(
            File.pathSeparator,
            Path.of(System.getProperty("project.root"), "quantizer/target/test-classes").toString(),
            System.getProperty("jdk.module.path", ""),
            System.getProperty("java.class.path")));
    command.add(main.getName());
    return command;
  }
}
