package dev.nibble.runtime.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MainTest {
  private static final String PROPERTY = "nibble.stderr";

  @TempDir private Path folder;

  @Test
  void anotherUsersStandardErrorIsLeftWithoutAWord() throws Exception {
    PrintStream own = System.err;
    ByteArrayOutputStream filtered = new ByteArrayOutputStream();
    PrintStream lent = new PrintStream(filtered, true, StandardCharsets.UTF_8);
    try {
      System.setErr(lent);
      System.setProperty(PROPERTY, folder.resolve("none/of/these").toString());
      Main.takeBackStandardError();
      assertSame(lent, System.err);
      assertEquals("", filtered.toString(StandardCharsets.UTF_8));

      Path real = folder.resolve("real");
      System.setProperty(PROPERTY, real.toString());
      Main.takeBackStandardError();
      System.err.print("said");
      System.err.close();
      assertEquals("said", Files.readString(real));
    } finally {
      System.clearProperty(PROPERTY);
      System.setErr(own);
    }
  }
}
