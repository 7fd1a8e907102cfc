package dev.nibble.quantizer.format;

import java.io.IOException;
import java.nio.file.Path;

/** A model file that breaks its format. The message is one line: file, field, and what is wrong. */
public final class ModelFormatException extends IOException {
  private static final long serialVersionUID = 1L;
  private static final int MAX_LENGTH = 1000;

  /**
   * Creates the exception.
   *
   * @param file the file that is wrong
   * @param field the field, tensor or offset inside it
   * @param problem what was expected and found, and what to do
   */
  public ModelFormatException(Path file, String field, String problem) {
    super(oneLine(file + ": " + field + ": " + problem));
  }

  /**
   * Creates the exception.
   *
   * @param file the file that is wrong
   * @param field the field, tensor or offset inside it
   * @param problem what was expected and found, and what to do
   * @param cause what the parser said
   */
  public ModelFormatException(Path file, String field, String problem, Throwable cause) {
    super(oneLine(file + ": " + field + ": " + problem), cause);
  }

  private static String oneLine(String message) {
    // What a hostile file says must neither fill the screen nor steer a terminal.
    String line = message.replaceAll("[\\p{Cc}\u2028\u2029]+", " ");
    return line.length() <= MAX_LENGTH ? line : line.substring(0, MAX_LENGTH) + "...";
  }
}
