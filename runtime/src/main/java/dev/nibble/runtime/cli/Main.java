package dev.nibble.runtime.cli;

import java.io.FileNotFoundException;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/** Entry point of {@code nibble}. */
public final class Main {
  private Main() {}

  /**
   * Runs a command and ends the process with its exit code.
   *
   * @param args the command line
   */
  public static void main(String[] args) {
    takeBackStandardError();
    System.exit(Nibble.run(Host.ofProcess(), args));
  }

  /**
   * The launcher lends the JVM a filtered standard error, for the notice about incubator modules
   * that no flag turns off, and passes the real one beside it. Where that is another user's pipe,
   * it cannot be opened again, and the filtered one does as well.
   */
  static void takeBackStandardError() {
    String path = System.getProperty("nibble.stderr");
    if (path != null) {
      try {
        System.setErr(
            new PrintStream(new FileOutputStream(path, true), true, StandardCharsets.UTF_8));
      } catch (FileNotFoundException e) {
        // Messages go on through the filter.
      }
    }
  }
}
