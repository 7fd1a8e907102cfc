package dev.nibble.runtime.cli;

import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;

/**
 * What surrounds a command.
 *
 * @param in standard input
 * @param results standard output
 * @param messages standard error
 * @param interactive whether messages go to a terminal
 * @param environment environment variables
 * @param home the installation; {@code models/} lies in it
 */
record Host(
    InputStream in,
    Results results,
    PrintStream messages,
    boolean interactive,
    Map<String, String> environment,
    Optional<Path> home) {
  /** The process's own. The launcher says what Java cannot find out. */
  static Host ofProcess() {
    return new Host(
        new FileInputStream(FileDescriptor.in),
        new Results(new FileOutputStream(FileDescriptor.out)),
        System.err,
        Boolean.getBoolean("nibble.terminal"),
        System.getenv(),
        Optional.ofNullable(System.getProperty("nibble.home")).map(Path::of));
  }

  /** Whether a line of messages may be drawn over and over. */
  boolean redraws() {
    return interactive && !"dumb".equals(environment.get("TERM"));
  }
}
