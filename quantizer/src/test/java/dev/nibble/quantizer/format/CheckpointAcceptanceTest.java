package dev.nibble.quantizer.format;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@Tag("acceptance")
class CheckpointAcceptanceTest {
  private static final Path TINY =
      Path.of(System.getProperty("project.root"))
          .resolve(System.getProperty("fixtures"))
          .resolve("models/tiny");

  @ParameterizedTest
  @CsvSource({"llama2, 21, 0", "llama3, 20, 0", "mistral, 21, 8", "qwen2, 27, 0", "qwen3, 25, 0"})
  void readsTheFamilies(String model, int tensors, int window) throws Exception {
    try (Checkpoint checkpoint = Checkpoint.open(TINY.resolve(model))) {
      assertEquals(tensors, checkpoint.names().size());
      assertEquals(window, checkpoint.config().slidingWindows().getFirst());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"falcon", "mixtral"})
  void refusesOtherFamiliesByName(String model) {
    ModelFormatException e =
        assertThrows(
            ModelFormatException.class, () -> Checkpoint.open(TINY.resolve(model)).close());
    assertTrue(e.getMessage().contains("found " + model), e.getMessage());
  }
}
