package dev.nibble.quantizer.format;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.io.TempDir;

/** A folder whose config.json is written and read. */
abstract class ConfigFixture {
  @TempDir Path folder;

  final ModelConfig read(String config) throws IOException {
    Files.writeString(folder.resolve("config.json"), config);
    return ModelConfig.read(folder);
  }

  /** It is refused in one short line that names the file and says what was expected. */
  final void refused(String config, String expected) {
    ModelFormatException e = assertThrows(ModelFormatException.class, () -> read(config));
    assertTrue(e.getMessage().contains(expected), e.getMessage());
    assertTrue(e.getMessage().startsWith(folder + "/config.json: "), e.getMessage());
    assertTrue(e.getMessage().chars().noneMatch(Character::isISOControl), e.getMessage());
    assertTrue(e.getMessage().length() <= 1003, () -> "length " + e.getMessage().length());
  }

  /** The small model's with one more field. */
  static String add(String field) {
    return SmallModel.CONFIG.replace("\"vocab_size\"", field + ", \"vocab_size\"");
  }

  /** With these fields in place of {@code , "vocab_size"}. */
  static String with(String config, String fields) {
    return config.replace(", \"vocab_size\"", fields);
  }
}
