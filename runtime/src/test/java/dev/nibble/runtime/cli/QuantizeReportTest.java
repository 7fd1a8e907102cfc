package dev.nibble.runtime.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.nibble.quantizer.method.FolderQuantizer.LinearError;
import dev.nibble.quantizer.method.FolderQuantizer.Summary;
import dev.nibble.quantizer.method.InputRanges;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class QuantizeReportTest {
  @TempDir Path folder;

  @Test
  void saysTheSameInThreeForms() throws IOException {
    report(List.of(0.5, 0.25)).write(folder.resolve("out.report"));
    String text = Files.readString(folder.resolve("out.report.txt"));
    assertTrue(text.contains("4.1875 bits a weight") && text.contains("25.1000 after"), text);
    assertTrue(text.contains(", 24.0 GFLOP/s, "), text);
    JsonNode json =
        new ObjectMapper().readTree(Files.readString(folder.resolve("out.report.json")));
    assertEquals(4.1875, json.get("bits_per_weight").asDouble());
    assertEquals(25.1, json.get("perplexity").get("after").asDouble());
    assertEquals(2, json.get("block_losses").size());
    assertEquals(24, json.get("gflops").asDouble());
    String page = Files.readString(folder.resolve("out.report.html"));
    assertTrue(page.contains("4.1875") && page.contains("25.1000"), page);
    assertTrue(page.contains("norm&lt;1&gt;") && page.contains("<p>After</p>"), page);
    assertTrue(page.contains("24.0 GFLOP/s"), page);
    assertFalse(page.contains("src=") || page.contains("href="), "the page needs no other file");
  }

  @Test
  void chartsLeaveOutWhatIsNoNumber() {
    List<Double> odd = List.of(0.0, Double.NaN, 1e-30, Double.POSITIVE_INFINITY);
    for (String chart :
        List.of(
            SvgChart.bars(odd, List.of("a", "b", "c", "d<")),
            SvgChart.bars(List.of(0.0), List.of("zero")),
            SvgChart.curves(List.of(odd, List.of(2.0, 1.0))),
            SvgChart.curves(List.of(List.of(0.0, 0.0))),
            SvgChart.ranges(new float[1], new float[1], 0, 0),
            SvgChart.ranges(new float[1000], new float[1000], -1, 1))) {
      assertFalse(chart.contains("NaN") || chart.contains("Infinity"), chart);
      assertTrue(chart.startsWith("<svg ") && chart.endsWith("</svg>\n"), chart);
      assertFalse(chart.contains("d<"), chart);
    }
  }

  private static QuantizeReport report(List<Double> losses) {
    return new QuantizeReport(
        Path.of("a<b>&c"),
        "W4A16g128",
        "gptq",
        new Summary(List.of(new LinearError("q<&", 0.1), new LinearError("k", 0)), 4.1875, 100, 30),
        losses,
        List.of(losses, losses),
        List.of(
            new InputRanges(
                "norm<1>",
                new float[] {-3, 0, 1},
                new float[] {2, 0, 4},
                new float[] {0, -3, 1},
                new float[] {0, 2, 4})),
        1.5,
        Optional.of(new QuantizeReport.Products(30_000_000_000L, 1.25)),
        1 << 20,
        Optional.of(new QuantizeReport.Scores(Path.of("t.txt"), 1023, 24.2, 25.1)));
  }
}
