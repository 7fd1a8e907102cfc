package dev.nibble.bench.suite;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.bench.LinearShape;
import dev.nibble.bench.SourceTree;
import dev.nibble.quantizer.format.QuantScheme;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class StepFileTest {
  @Test
  void listsAreTakenApart() throws IOException {
    Map<String, Step> steps =
        StepFile.parse(
            "f",
            """
            [{"run": "jmh", "benchmark": "Gemv", "parameters": {"bits": ["2", "4"], "shape": ["a", "b"]},
              "forks": [1, 3], "warmups": 1, "iterations": 2, "milliseconds": 300}]
            """);
    assertEquals(8, steps.size());
    assertTrue(
        steps.containsValue(
            new JmhStep("Gemv", "", Map.of("bits", "4", "shape", "a"), 3, 1, 2, 300)));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "[]",
        "[1]",
        "[{\"run\": \"nothing\"}]",
        "[{\"run\": \"layouts\", \"x\": 1}]",
        "{"
      })
  void otherFilesAreRefusedByName(String text) {
    IOException refusal = assertThrows(IOException.class, () -> StepFile.parse("steps.json", text));
    assertTrue(refusal.getMessage().startsWith("steps.json: "), refusal.getMessage());
  }

  @ParameterizedTest
  @ValueSource(strings = {"quick.json", "full.json"})
  void profilesNameBenchmarksThereAre(String name) throws IOException {
    Path file = SourceTree.file("bench/cases").resolve(name);
    List<Step> steps = List.copyOf(StepFile.parse(name, Files.readString(file)).values());
    for (Step step : steps) {
      switch (step) {
        case JmhStep jmh -> JmhSubject.of(jmh.benchmark());
        case ProductStep product -> {
          LinearShape.of(product.shape());
          QuantScheme.parse(product.scheme());
          assertFalse(Numbers.parse(product.tokens()).isEmpty());
        }
        case ModelStep model -> QuantScheme.parse(model.scheme());
        default -> {}
      }
    }
  }
}
