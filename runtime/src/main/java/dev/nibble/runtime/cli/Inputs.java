package dev.nibble.runtime.cli;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Texts that a command reads. */
final class Inputs {
  private Inputs() {}

  /**
   * A whole file.
   *
   * @throws UnfitInputException if it is a folder, or not UTF-8
   */
  static String read(Path file) throws IOException {
    if (Files.isDirectory(file)) {
      throw new UnfitInputException(file + ": expected a text file, found a folder");
    }
    return utf8(file.toString(), Files.readAllBytes(file));
  }

  /**
   * A whole stream.
   *
   * @throws UnfitInputException if it is not UTF-8
   */
  static String read(InputStream in) throws IOException {
    return utf8("standard input", in.readAllBytes());
  }

  private static String utf8(String source, byte[] bytes) throws UnfitInputException {
    ByteBuffer in = ByteBuffer.wrap(bytes);
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(in).toString();
    } catch (CharacterCodingException e) {
      throw new UnfitInputException(
          source + ": expected UTF-8 text, found something else at byte " + in.position());
    }
  }
}
