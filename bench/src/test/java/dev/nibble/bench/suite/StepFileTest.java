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
    List<PlannedStep> steps =
        StepFile.parse(
            "f",
            """
            [{"run": "jmh", "benchmark": "Gemv", "parameters": {"bits": ["2", "4"], "shape": ["a", "b"]},
              "forks": [1, 3], "warmups": 1, "iterations": 2, "milliseconds": 300}]
            """);
    assertEquals(8, steps.size());
    assertTrue(
        steps.stream()
            .anyMatch(step ->
                step.step()
                    .equals(
                        new JmhStep("Gemv", "", Map.of("bits", "4", "shape", "a"), 3, 1, 2, 300))));
    assertEquals(8, steps.stream().map(step -> step.name().step()).distinct().count());
  }

  @Test
  void againIsTheNextRoundOfWhatStandsBefore() throws IOException {
    List<PlannedStep> steps =
        StepFile.parse(
            "f",
            """
            [{"run": "product", "shape": "7x9", "scheme": ["W16A16", "W8A8"], "tokens": "1", "samples": 5},
             {"run": "layouts"}, {"again": ["product"]},
             {"run": "product", "shape": "7x9", "scheme": "W4A8", "tokens": "1", "samples": 5},
             {"again": ["product", "layouts"]}]
            """);
    assertEquals(
        List.of(1, 1, 1, 2, 2, 1, 3, 3, 2, 2),
        steps.stream().map(step -> step.name().round()).toList());
    assertEquals(steps.get(0).name().step(), steps.get(3).name().step());
    assertEquals(steps.get(0).step(), steps.get(6).step());
    assertTrue(steps.get(3).title().endsWith(", round 2"), steps.get(3).title());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "[]",
        "[1]",
        "[{\"run\": \"nothing\"}]",
        "[{\"run\": \"layouts\", \"x\": 1}]",
        "[{\"again\": [\"layouts\"]}]",
        "[{\"run\": \"layouts\"}, {\"again\": [\"product\"]}]",
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
    for (PlannedStep planned : StepFile.parse(name, Files.readString(file))) {
      switch (planned.step()) {
        case JmhStep jmh -> JmhSubject.of(jmh.benchmark());
        case ProductStep product -> {
          LinearShape.of(product.shape());
          QuantScheme.parse(product.scheme());
          assertFalse(Numbers.parse(product.tokens()).isEmpty());
        }
        case ModelStep model -> QuantScheme.parse(model.scheme());
        case PeerStep peer -> assertTrue(Files.isRegularFile(SourceTree.file(peer.script())));
        default -> {}
      }
    }
  }
}
