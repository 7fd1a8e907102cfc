package dev.nibble.runtime.cli;

/** Entry point of {@code nibble}. */
public final class Main {
  private Main() {}

  /**
   * Runs a command.
   *
   * @param args the command line
   */
  public static void main(String[] args) {
    System.err.println("nothing to run yet");
  }
}
