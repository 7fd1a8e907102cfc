package dev.nibble.quantizer.format;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import org.junit.jupiter.api.Test;

class StrictJsonTest extends ConfigFixture {
  @Test
  void saysWhereJsonBreaks() throws Exception {
    refused("{\"a\": [", "config.json: JSON: ");
    ModelFormatException e = assertThrows(ModelFormatException.class, () -> read("{\n \"a\": [1"));
    assertTrue(String.valueOf(e.getMessage()).contains("line 2"), e.getMessage());
    assertTrue(!String.valueOf(e.getMessage()).contains("REDACTED"), e.getMessage());
  }

  @Test
  void jsonIsStrictAndBounded() throws Exception {
    refused("", "expected {, found nothing");
    refused("[]", "expected {");
    refused(SmallModel.CONFIG + "{}", "JSON");
    refused(add("\"deep\": " + "[".repeat(100_000)), "JSON");
    refused(add("\"long\": \"" + "x".repeat(1 << 20) + "\""), "unknown field");
    refused(add("\"long\\u001b[2J\\n\": 1"), "unknown field");
    refused(" ".repeat(5 << 20), "size: expected at most");
    Files.delete(folder.resolve("config.json"));
    assertThrows(NoSuchFileException.class, () -> ModelConfig.read(folder));
    Files.writeString(
        folder.resolve("config.json"), "version https://git-lfs.github.com/spec/v1\noid sha256:0");
    ModelFormatException e =
        assertThrows(ModelFormatException.class, () -> ModelConfig.read(folder));
    assertTrue(e.getMessage().contains("git lfs pull"), e.getMessage());
  }
}
