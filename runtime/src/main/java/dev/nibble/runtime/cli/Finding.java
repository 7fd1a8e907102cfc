package dev.nibble.runtime.cli;

/**
 * Something {@code doctor} found out.
 *
 * @param subject what it looked at
 * @param state what it saw, in one line
 * @param advice what to do, in one line; empty where nothing is missing
 */
record Finding(String subject, String state, String advice) {
  static Finding good(String subject, String state) {
    return new Finding(subject, state, "");
  }
}
