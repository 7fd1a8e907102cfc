package dev.nibble.runtime.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;

/** Standard output: what a command was asked for, in UTF-8, unbuffered, with errors noticed. */
final class Results {
  private final OutputStream out;

  Results(OutputStream out) {
    this.out = out;
  }

  /**
   * Writes text at once, so that a reader sees each token as it comes.
   *
   * @throws ClosedOutputException if nobody reads any more
   * @throws IOException if writing fails otherwise
   */
  void text(String text) throws IOException {
    try {
      out.write(text.getBytes(StandardCharsets.UTF_8));
      out.flush();
    } catch (IOException e) {
      // The JDK has no type for EPIPE.
      if (String.valueOf(e.getMessage()).contains("Broken pipe")) {
        throw new ClosedOutputException(e);
      }
      throw new IOException("standard output: " + e.getMessage(), e);
    }
  }

  /** As {@link #text}, for listeners, which throw nothing checked. */
  void stream(String text) {
    try {
      text(text);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  void line(String line) throws IOException {
    text(line + "\n");
  }

  /** Writes maps, lists, numbers and texts as JSON, on one line. */
  void json(Object value) throws IOException {
    line(new ObjectMapper().writeValueAsString(value));
  }

  /** The same stream for picocli, which prints help and versions to it. */
  PrintWriter writer() {
    return new PrintWriter(out, true, StandardCharsets.UTF_8);
  }
}
