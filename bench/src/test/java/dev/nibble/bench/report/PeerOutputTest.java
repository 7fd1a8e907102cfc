package dev.nibble.bench.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.nibble.bench.SourceTree;
import dev.nibble.bench.result.Measurement;
import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PeerOutputTest {
  private static final JsonMapper JSON = new JsonMapper();
  private static final PeerOutput.Told TOLD =
      new PeerOutput.Told("tinyllama-1.1b", "580", "A GPU", "2026-11-22T17:33:12Z");

  private static String sample(String name) throws IOException {
    return Files.readString(SourceTree.file("bench/src/test/resources").resolve(name));
  }

  private static List<Measurement> read(String name, String text) throws IOException {
    return PeerOutput.read(name, text, TOLD);
  }

  /** What llama-bench b4748 wrote on a CPU. */
  @Test
  void realOutputOfLlamaBenchIsRead() throws IOException {
    List<Measurement> found = read("llama-bench.json", sample("llama-bench.json"));
    assertEquals(List.of("prefill", "decode"), found.stream().map(Measurement::name).toList());
    Measurement decode = found.getLast();
    assertEquals("4", decode.parameter("tokens"));
    assertEquals("llama 1B Q4_0", decode.parameter("scheme"));
    assertTrue(decode.parameter("program").startsWith("llama.cpp "), decode.toString());
    assertEquals(2, decode.value().samples());
    assertTrue(decode.value().min() > 0 && decode.machine().device().contains("AMD"), "" + decode);
  }

  @Test
  void linesOfJsonAreTheSameAsAList() throws IOException {
    StringBuilder lines = new StringBuilder();
    for (JsonNode row : JSON.readTree(sample("llama-bench.json"))) {
      lines.append(row).append('\n');
    }
    assertEquals(
        read("llama-bench", sample("llama-bench.json")), read("llama-bench", lines.toString()));
  }

  /** What b4748 wrote with {@code -p 8 -n 2 -r 2 -o csv}: every value in quotes, no samples. */
  @Test
  void csvHasTheMeans() throws IOException {
    String csv = sample("llama-bench.csv").replace("AMD EPYC", "An \"\"AMD\"\", one");
    List<Measurement> found = read("llama.csv", csv);
    assertEquals(List.of("prefill", "decode"), found.stream().map(Measurement::name).toList());
    assertEquals("An \"AMD\", one", found.getFirst().machine().device());
    assertEquals(20.718964, found.getLast().value().median());
    assertEquals(1, found.getLast().value().samples());

    String cut = csv.substring(0, csv.lastIndexOf(','));
    IOException refusal = assertThrows(IOException.class, () -> read("llama.csv", cut));
    assertTrue(refusal.getMessage().startsWith("llama.csv, line 3: "), refusal.getMessage());
  }

  /** What b4748 printed with {@code -t 1 -p 8 -n 2 -r 2 -fa 0,1 -o md}. */
  @Test
  void tableHasTheMeans() throws IOException {
    String table = sample("llama-bench.md");
    List<Measurement> found = read("llama.md", table);
    assertEquals(
        List.of("prefill 8 fa 0", "decode 2 fa 0", "prefill 8 fa 1", "decode 2 fa 1"),
        found.stream()
            .map(m -> m.name() + " " + m.parameter("tokens") + " fa " + m.parameter("fa"))
            .toList());
    Measurement last = found.getLast();
    assertEquals(15.12, last.value().median());
    assertEquals(1, last.value().samples());
    assertEquals("llama 1B Q4_0", last.parameter("scheme"));
    assertEquals("llama.cpp c392e5094", last.parameter("program"));
    assertEquals("1", last.parameter("threads"));
    assertEquals("0", last.parameter("depth"));
    assertEquals("A GPU", last.machine().device());
    assertEquals("2026-11-22T17:33:12Z", last.run().time());
    assertEquals("c392e5094", last.run().commit());
    assertEquals(found, read("llama.md", "\nregister_backend: CPU\n\n" + table));
  }

  private static final String ON_A_GPU =
      """
      ggml_cuda_init: found 1 CUDA devices:
        Device 0: NVIDIA H200, compute capability 9.0, VMM: yes
      | model                          |       size |     params | backend    | ngl |            test |                  t/s |
      | ------------------------------ | ---------: | ---------: | ---------- | --: | --------------: | -------------------: |
      | llama 7B Q4_0                  |   3.56 GiB |     6.74 B | CUDA       |  99 |           pp512 |    12340.20 ± 23.45 |
      | llama 7B Q4_0                  |   3.56 GiB |     6.74 B | CUDA       |  99 |    tg128 @ d512 |        216.71 ± 0.60 |

      build: 0123abcd (6000)
      """;

  @Test
  void tableOfAGpuHasDepthsAndNoSettings() throws IOException {
    List<Measurement> found = read("llama.md", ON_A_GPU);
    assertEquals(12340.2, found.getFirst().value().median());
    Measurement decode = found.getLast();
    assertEquals("decode", decode.name());
    assertEquals("128", decode.parameter("tokens"));
    assertEquals("512", decode.parameter("depth"));
    assertEquals("", decode.parameter("ngl"));
    IOException refusal =
        assertThrows(
            IOException.class,
            () ->
                PeerOutput.read(
                    "llama.md", ON_A_GPU, new PeerOutput.Told("llama-2-7b", "580", "", "")));
    assertTrue(refusal.getMessage().contains("--device"), refusal.getMessage());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "test |;what |;line 3: expected columns",
        "pp512;pp512+tg128;line 5: expected a test",
        "tg128;tg0;line 6: expected a test",
        "tg128;tg99999999999;line 6: expected a test",
        "216.71 ± 0.60;216.71;line 6: expected a t/s",
        "216.71;0.00;line 6: expected a t/s",
        "216.71;nan;line 6: expected a t/s",
        "|  99 |    tg;|    tg;line 6: expected 7 columns",
        "23.45 |;23.45;line 5: expected a | at its end",
        "build: 0123abcd (6000);'';line 9: expected 'build:",
      })
  void damagedTablesAreRefusedByLine(String found, String with, String complaint) {
    String damaged = ON_A_GPU.replace(found, with);
    assertFalse(damaged.equals(ON_A_GPU), found);
    IOException refusal = assertThrows(IOException.class, () -> read("llama.md", damaged));
    assertTrue(refusal.getMessage().startsWith("llama.md, " + complaint), refusal.getMessage());
    assertFalse(refusal.getMessage().contains("\n"), refusal.getMessage());
  }

  /** What torch_gemm.py wrote on an H200, some of its rows with fewer samples. */
  @Test
  void outputOfTorchIsRead() throws IOException {
    List<Measurement> found = read("torch.json", sample("torch.json"));
    assertEquals(
        List.of("W16A16", "W8A8", "W4A16g128"),
        found.stream().map(m -> m.parameter("scheme")).toList());
    Measurement last = found.getLast();
    assertEquals("gemm.torch", last.name());
    assertEquals("12288x4096", last.parameter("shape"));
    assertEquals("PyTorch 2.11.0+cu130", last.parameter("program"));
    assertEquals("NVIDIA H200", last.machine().device());
    assertEquals("580.159.04", last.machine().driver());
    assertEquals(5, last.value().samples());
    assertEquals(2L * 12288 * 4096, last.work().operations());
    assertTrue(last.run().time().startsWith("2026-"), last.toString());
  }

  @ParameterizedTest
  @CsvSource({
    "rows, 0",
    "columns, \"many\"",
    "tokens, -1",
    "samples_us, []",
    "samples_us, [0]",
    "samples_us, [\"fast\"]",
    "samples_us, {}",
    "program, \"\"",
    "device, null",
    "time, null",
    "scheme, null"
  })
  void damagedRowsAreRefusedByRowAndField(String field, String value) throws IOException {
    ArrayNode rows = (ArrayNode) JSON.readTree(sample("torch.json"));
    ((ObjectNode) rows.get(1)).set(field, JSON.readTree(value));
    IOException refusal =
        assertThrows(IOException.class, () -> read("torch.json", rows.toString()));
    assertTrue(
        refusal.getMessage().startsWith("torch.json, row 2: expected ")
            && refusal.getMessage().contains(field),
        refusal.getMessage());
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "[]", "[{}]", "[1]", "{\"a\": 1}", "| model | size |", "a,b\n1"})
  void otherTextIsRefusedByName(String text) {
    IOException refusal = assertThrows(IOException.class, () -> read("f", text));
    assertTrue(refusal.getMessage().startsWith("f"), refusal.getMessage());
  }

  @Test
  void cutFilesAreRefused() throws IOException {
    for (String name : List.of("torch.json", "llama-bench.json")) {
      String text = sample(name).strip();
      for (int length : new int[] {text.length() - 1, text.length() / 2, 20}) {
        assertThrows(
            IOException.class,
            () -> read(name, text.substring(0, length)),
            name + " of " + length + " characters");
      }
    }
  }

  @Test
  void llamaBenchNeedsOurNameOfTheModel() throws IOException {
    String text = sample("llama-bench.json");
    IOException refusal =
        assertThrows(
            IOException.class,
            () -> PeerOutput.read("llama.json", text, new PeerOutput.Told("", "", "", "")));
    assertTrue(refusal.getMessage().contains("--model"), refusal.getMessage());
  }
}
