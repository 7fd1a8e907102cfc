package dev.nibble.bench.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.bench.result.Machine;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Clocks;
import dev.nibble.bench.result.Measurement.Context;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Origin;
import dev.nibble.bench.result.Measurement.Run;
import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import dev.nibble.bench.result.ResultFile;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReportTest {
  private static final String TORCH =
      """
      [{"program": "PyTorch 2.11", "scheme": "W16A16", "device": "GPU", "rows": 64, "columns": 128,
        "tokens": 1, "time": "2026-01-02T00:00:00+00:00", "samples_us": [3.0, 2.0, 8.0]},
       {"program": "PyTorch 2.11", "scheme": "W4A16g128", "device": "GPU", "rows": 64, "columns": 128,
        "tokens": 1, "time": "2026-01-02T00:00:00+00:00", "samples_us": [4.0]}]
      """;
  private static final String LLAMA =
      """
      [{"build_commit": "abc", "gpu_info": "GPU", "cpu_info": "CPU", "model_type": "llama 7B Q4_0",
        "n_prompt": 0, "n_gen": 128, "n_depth": 512, "test_time": "2026-01-02T00:00:00Z",
        "samples_ts": [300.0, 310.0, 290.0]}]
      """;

  @TempDir Path folder;

  private static Measurement measured(
      Kind kind,
      String name,
      Map<String, String> parameters,
      String unit,
      double value,
      Work work) {
    return Measurement.of(
        kind,
        name,
        parameters,
        unit,
        Spread.of(value, value),
        work,
        Origin.MEASURED,
        new Context(
            new Machine("GPU", "580", "CPU", 2, "25"),
            new Clocks(1980, 3201, 40),
            new Run("abc", "command", "2026-01-02T03:04:05Z", "{}")));
  }

  private static List<Measurement> figures() throws IOException {
    List<Measurement> all = new ArrayList<>();
    all.add(measured(Kind.CEILING, "read", Map.of(), "GB/s", 4000, Work.NONE));
    all.add(measured(Kind.CEILING, "fp16", Map.of(), "TFLOP/s", 750, Work.NONE));
    for (String scheme : List.of("W4A16g128", "W2A16g128")) {
      all.add(
          measured(
              Kind.KERNEL,
              "gemv",
              Map.of("scheme", scheme, "shape", "64x128", "tokens", "1"),
              "us",
              5,
              new Work(10_000_000, 30_000_000)));
      for (int batch : new int[] {1, 8}) {
        all.add(
            measured(
                Kind.MODEL,
                "decode",
                Map.of(
                    "model",
                    "llama-2-7b",
                    "scheme",
                    scheme,
                    "depth",
                    "512",
                    "tokens",
                    "128",
                    "batch",
                    Integer.toString(batch)),
                "tokens/s",
                600 * batch,
                new Work(3_800_000_000L, 0)));
        all.add(
            measured(
                Kind.MEMORY,
                "weights_and_cache",
                Map.of(
                    "model",
                    "llama-2-7b",
                    "scheme",
                    scheme,
                    "context",
                    "8192",
                    "batch",
                    Integer.toString(batch)),
                "bytes",
                4e9 * batch,
                Work.NONE));
      }
    }
    for (String way : List.of("Plain", "Critical", "Jni")) {
      all.add(measured(Kind.CALL, "DriverCalls.version" + way, Map.of(), "ns", 15, Work.NONE));
    }
    for (String way : List.of("Ffm", "Jni")) {
      all.add(measured(Kind.CALL, "Launches.launch" + way, Map.of(), "ns", 3000, Work.NONE));
    }
    PeerOutput.Told told = new PeerOutput.Told("llama-2-7b", "580", "", "");
    all.addAll(PeerOutput.read("torch.json", TORCH, told));
    all.addAll(PeerOutput.read("llama.json", LLAMA, told));
    return all;
  }

  @Test
  void everyChartIsAPictureAndOnThePage() throws IOException {
    Path page = folder.resolve("target/report.html");
    Path charts = folder.resolve("charts");
    Report.draw(figures(), charts, page);
    String html = Files.readString(page);
    List<Path> pictures;
    try (Stream<Path> files = Files.list(charts)) {
      pictures = files.sorted().toList();
    }
    assertEquals(
        List.of(
            "gpu-ffm-against-jni.png",
            "gpu-latency-by-batch.png",
            "gpu-launches.png",
            "gpu-memory-by-scheme.png",
            "gpu-roofline.png",
            "gpu-speed-by-scheme.png"),
        pictures.stream().map(path -> path.getFileName().toString()).toList());
    for (Path picture : pictures) {
      BufferedImage image = ImageIO.read(picture.toFile());
      assertEquals(960, image.getWidth(), picture.toString());
      assertEquals(8, image.getColorModel().getPixelSize(), picture.toString());
      assertEquals(0xffffffff, image.getRGB(1, 1), picture.toString());
    }
    assertEquals(6, html.split("data:image/png", -1).length - 1);
    assertFalse(html.contains("http"), "the page needs nothing else");
  }

  @Test
  void peersStandBesideOursWithARatioOfTheSameDay() throws IOException {
    String html = Comparison.html(Figures.of("GPU", figures())).orElseThrow();
    assertTrue(html.contains("PyTorch 2.11"), html);
    assertTrue(html.contains("W4A16g128 1.67"), html); // 5 us against 3
    assertTrue(html.contains("llama 7B Q4_0"), html);
    assertTrue(html.contains("W4A16g128 0.50"), html); // 600 tokens/s against 300
  }

  @Test
  void devicesWithoutFiguresHaveNoCharts() {
    assertEquals(List.of(), Charts.of(Figures.of("GPU", List.of())));
  }

  @Test
  void tablesOfATextAreFilled() throws IOException {
    Path text = folder.resolve("text.md");
    Files.writeString(
        text,
        """
        a
        <!-- figures: products -->
        old
        <!-- end -->
        b
        <!-- figures: calls -->
        <!-- end -->
        <!-- figures: decode -->
        <!-- end -->
        <!-- figures: peers -->
        <!-- end -->
        <!-- figures: memory -->
        <!-- end -->
        <!-- figures: targets -->
        <!-- end -->
        <!-- figures: step -->
        <!-- end -->
        <!-- figures: loading -->
        <!-- end -->
        <!-- figures: agreement -->
        <!-- end -->
        <!-- figures: charts -->
        <!-- end -->
        """);
    Files.createFile(folder.resolve("a-b.png"));
    Report.fill(figures(), folder, Optional.of("agreed\n"), text);
    String filled = Files.readString(text);
    assertTrue(filled.startsWith("a\n<!-- figures: products -->\n\n| linear | tokens |"), filled);
    assertFalse(filled.contains("old"), filled);
    assertTrue(filled.contains("| 64x128 | 1 | 5.00 |  | 5.00 |"), filled);
    assertTrue(filled.contains("| llama-2-7b | W4A16g128 | 512 | 600 |"), filled);
    assertTrue(filled.contains("![a b](a-b.png)"), filled);
    assertTrue(filled.contains("| 64x128 | 1 |  | 3.00 |  | 5.00 | 4.00 | 1.25 |"), filled);
    assertTrue(filled.contains("| llama-2-7b | 8,192 | 8 | 29.80 m | 29.80 m |"), filled);
    assertTrue(filled.contains("\nagreed\n"), filled);
    assertTrue(filled.contains("512 | at least 750 tokens/s | 600 | no |"), filled);
    assertTrue(filled.contains("W4A8 | at most 45.0 ms | not measured |  |"), filled);
    // Parts of a step that are not all measured, and no loading.
    assertEquals(2, filled.split("Not measured yet.", -1).length - 1, filled);
    Report.fill(figures(), folder, Optional.of("agreed\n"), text);
    assertEquals(filled, Files.readString(text));

    Files.writeString(text, "<!-- figures: nothing -->\n<!-- end -->");
    assertThrows(
        IllegalArgumentException.class,
        () -> Report.fill(figures(), folder, Optional.of("agreed\n"), text));
  }

  private static Measurement kernel(
      String name, Map<String, String> parameters, double microseconds, long bytes) {
    Work work = new Work(bytes, 0);
    return measured(Kind.KERNEL, name, parameters, "us", microseconds, work);
  }

  private static Measurement linear(String shape, String scheme, double microseconds, long bytes) {
    Map<String, String> parameters = Map.of("shape", shape, "scheme", scheme, "tokens", "1");
    return kernel("some_kernel", parameters, microseconds, bytes);
  }

  /** Whichever kernels do the work: parts are known by their shapes. */
  @Test
  void partsOfAStepAreSharesOfIt() throws IOException {
    List<Measurement> all =
        List.of(
            measured(Kind.CEILING, "read", Map.of(), "GB/s", 4000, Work.NONE),
            linear("12288x4096", "W4A16g128", 8, 16_000_000),
            linear("4096x4096", "W4A16g128", 4, 8_000_000),
            linear("22016x4096", "W4A16g128", 12, 24_000_000),
            linear("4096x11008", "W4A16g128", 10, 20_000_000),
            linear("32000x4096", "W16A16", 64, 128_000_000),
            kernel(
                "attention_decode",
                Map.of("batch", "1", "context", "512", "kv_heads", "32", "kv_bits", "16"),
                6,
                4_000_000),
            kernel("sample", Map.of("tokens", "1", "vocab", "32000"), 5, 100_000),
            measured(
                Kind.MODEL,
                "decode.p50",
                Map.of("model", "llama-2-7b", "scheme", "W4A16g128", "batch", "1", "depth", "512"),
                "us",
                1280,
                Work.NONE));
    Path text = folder.resolve("README.md");
    Files.writeString(text, "<!-- figures: step -->\n<!-- end -->");
    Report.fill(all, folder, Optional.empty(), text);
    String filled = Files.readString(text);
    assertTrue(filled.contains("| q, k, v | 32 | 8.00 | 256 | 20 % | 128 | 50 % |"), filled);
    assertTrue(filled.contains("| head (fp16) | 1 | 64.0 | 64.0 | 5 % | 32.0 | 50 % |"), filled);
    assertTrue(filled.contains("| all of these |  |  | 1,349 | 105 % | 608 | 45 % |"), filled);
    assertTrue(filled.contains("(p50) |  |  | 1,280 | 100 % | 608 | 48 % |"), filled);

    List<Measurement> asTheStepHasThem = new ArrayList<>(all);
    Map.of("12288x4096", "norm", "4096x4096", "add", "22016x4096", "norm+swiglu")
        .forEach((shape, as) ->
            asTheStepHasThem.addFirst(
                kernel(
                    "some_kernel",
                    Map.of("shape", shape, "scheme", "W4A16g128", "tokens", "1", "as", as),
                    5,
                    16_000_000)));
    Files.writeString(text, "<!-- figures: step -->\n<!-- end -->");
    Report.fill(asTheStepHasThem, folder, Optional.empty(), text);
    String whole = Files.readString(text);
    assertTrue(whole.contains("| q, k, v (norm) | 32 | 5.00 | 160 |"), whole);
    assertTrue(whole.contains("| o (add) | 32 | 5.00 | 160 |"), whole);
    assertTrue(whole.contains("| gate, up (norm+swiglu) | 32 | 5.00 | 160 |"), whole);
    assertTrue(whole.contains("| down | 32 | 10.0 | 320 |"), whole);
    // No other scheme has all of its parts.
    Files.writeString(text, "<!-- figures: steps -->\n<!-- end -->");
    Report.fill(asTheStepHasThem, folder, Optional.empty(), text);
    String others = Files.readString(text);
    assertTrue(others.contains("W2A16g128:\n\n" + MarkdownTable.NOTHING), others);
    // The plain product's table does not take them.
    Files.writeString(text, "<!-- figures: products -->\n<!-- end -->");
    Report.fill(asTheStepHasThem, folder, Optional.empty(), text);
    assertTrue(Files.readString(text).contains("| 12288x4096 | 1 | 8.00 |"));
  }

  @Test
  void twoRunsOfACommitAreComparedInATable() throws IOException {
    List<Measurement> run = figures();
    new ResultFile(folder.resolve("a.jsonl")).append(run);
    assertTrue(AgreementTable.markdown(folder).isEmpty());
    new ResultFile(folder.resolve("b.jsonl")).append(run);
    String table = AgreementTable.markdown(folder).orElseThrow();
    assertTrue(table.contains("| calls and the CPU | 5 | 17 % | 5 | 0 | 0.0 % | 0.0 % |"), table);
    assertEquals("Of " + run.getFirst().run().commit() + ":", table.lines().findFirst().get());
    int all = run.size();
    assertTrue(table.contains("| all | " + all + " |  | " + all + " | 0 |"), table);
  }

  /** Whatever the files are called. */
  @Test
  void theLaterRunIsHeldToTheEarlier() throws IOException {
    Measurement wide = figure("2026-01-02", 50, 100, 150);
    new ResultFile(folder.resolve("b.jsonl")).append(List.of(wide));
    new ResultFile(folder.resolve("a.jsonl")).append(List.of(figure("2026-01-03", 149, 150, 151)));
    assertTrue(AgreementTable.markdown(folder).orElseThrow().contains("| all | 1 |  | 1 | 0 |"));
    Files.delete(folder.resolve("a.jsonl"));
    new ResultFile(folder.resolve("c.jsonl")).append(List.of(figure("2026-01-01", 149, 150, 151)));
    assertTrue(AgreementTable.markdown(folder).orElseThrow().contains("| all | 1 |  | 0 | 1 |"));
  }

  private static Measurement figure(String time, double... samples) {
    return Measurement.of(
        Kind.KERNEL,
        "gemm",
        Map.of(),
        "us",
        Spread.of(samples),
        Work.NONE,
        Origin.MEASURED,
        new Context(
            new Machine("GPU", "580", "CPU", 2, "25"),
            Clocks.UNKNOWN,
            new Run("abc", "command", time, "")));
  }
}
