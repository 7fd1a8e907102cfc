package dev.nibble.bench.suite;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.bench.LinearShape;
import dev.nibble.bench.SourceTree;
import dev.nibble.bench.kernel.StepProductBench;
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
          if (!product.as().isEmpty()) {
            StepProductBench.Form.of(product.as());
          }
        }
        case ModelStep model -> QuantScheme.parse(model.scheme());
        case PeerStep peer -> assertTrue(Files.isRegularFile(SourceTree.file(peer.script())));
        default -> {}
      }
    }
  }

  /** Whoever lets other programs wait for it must know one moment alone. */
  @Test
  void quickMeasuresTheHostInOneStretchBehindTheCeilings() throws IOException {
    Path file = SourceTree.file("bench/cases/quick.json");
    List<Step> steps =
        StepFile.parse("quick.json", Files.readString(file)).stream()
            .map(PlannedStep::step)
            .toList();
    List<Step> host = steps.stream().filter(Step::measuresHost).toList();
    int last = steps.lastIndexOf(host.getLast());
    assertTrue(host.size() > 10, host.toString());
    assertTrue(steps.getFirst() instanceof CeilingStep, steps.getFirst().title());
    for (Step step : steps.subList(1, last + 1)) {
      assertTrue(step.measuresHost() || step instanceof LayoutStep, step.title());
    }
  }

  @Test
  void productsOfAStepAreOfOneToken() throws IOException {
    String text =
        """
        [{"run": "product", "shape": "7x9", "scheme": "W4A16", "tokens": "%s", "as": "add", "samples": 5}]
        """;
    Step step = StepFile.parse("f", text.formatted("1")).getFirst().step();
    assertEquals(new ProductStep("7x9", "W4A16", "1", "add", 5), step);
    assertTrue(step.title().contains("as add"), step.title());
    assertThrows(IOException.class, () -> StepFile.parse("f", text.formatted("1,2")));
  }
}
