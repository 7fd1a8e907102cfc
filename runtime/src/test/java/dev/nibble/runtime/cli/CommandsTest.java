package dev.nibble.runtime.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.NpyArray;
import dev.nibble.runtime.cuda.DeviceReading;
import dev.nibble.runtime.engine.MemoryPlan;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CommandsTest {
  private static final String BOOKS = Invocation.BOOKS.toString();

  private static JsonNode json(Invocation result) throws IOException {
    assertEquals(0, result.code(), result.err());
    assertEquals(result.out().length() - 1, result.out().indexOf('\n'), "one line");
    return new ObjectMapper().readTree(result.out());
  }

  private static String[] with(String[] args, String... more) {
    return Stream.of(args, more).flatMap(Stream::of).toArray(String[]::new);
  }

  @Test
  void tokensComeBackAsText(@TempDir Path folder) throws IOException {
    String text = "Bäume — 木 🌳 and a tab\there";
    Path file = Files.writeString(folder.resolve("text"), text);
    Invocation ids = Invocation.of("tokenize", "-m", BOOKS, text);
    assertTrue(ids.out().matches("1(,\\d+)+\n"), ids.out());
    assertEquals(ids, Invocation.of("tokenize", "-m", BOOKS, "--file", file.toString()));
    assertEquals(ids, new Invocation.Setting().input(text).run("tokenize", "-m", BOOKS));
    assertEquals(
        "[" + ids.out().strip() + "]",
        json(Invocation.of("tokenize", "-m", BOOKS, "--json", text)).get("ids").toString());
    assertEquals(ids.out(), "1," + Invocation.of("tokenize", "-m", BOOKS, "--no-bos", text).out());
    Invocation back = Invocation.of("detokenize", "-m", BOOKS, ids.out().strip());
    assertEquals(text, back.out().strip());
    assertEquals(back, new Invocation.Setting().input(ids.out()).run("detokenize", "-m", BOOKS));
    assertEquals(
        back.out(),
        json(Invocation.of("detokenize", "-m", BOOKS, "--json", ids.out().strip()))
                .get("text")
                .textValue()
            + "\n");
  }

  @Test
  void textThatIsNotUtf8IsRefused(@TempDir Path folder) throws IOException {
    Path file = folder.resolve("latin1");
    Files.write(file, "B\u00e4ume".getBytes(StandardCharsets.ISO_8859_1));
    Invocation result = Invocation.of("tokenize", "-m", BOOKS, "--file", file.toString());
    assertEquals(ExitCode.BAD_INPUT.number(), result.code());
    assertTrue(result.err().contains(file + ": expected UTF-8"), result.err());
  }

  @Test
  void perplexityOfOneShortWindow() throws IOException {
    String alice = Invocation.TEXTS.resolve("alice.txt").toString();
    String[] args = {
      "perplexity", "-m", BOOKS, "--text", alice, "--context", "9", "--windows", "2"
    };
    Invocation plain = Invocation.of(args);
    JsonNode json = json(Invocation.of(with(args, "--json")));
    assertEquals(16, json.get("tokens_scored").intValue());
    assertEquals(2, json.get("windows").intValue());
    assertEquals(
        String.format(
            Locale.ROOT,
            "perplexity %.4f  (W16A16, 16 tokens in 2 windows)%n",
            json.get("perplexity").doubleValue()),
        plain.out());
  }

  @Test
  void logitsAppearWholeOrNotAtAll(@TempDir Path folder) throws IOException {
    Path file = folder.resolve("logits.npy");
    Path model = Invocation.ROOT.resolve("runtime/src/test/resources/tiny/llama3");
    JsonNode json =
        json(
            Invocation.of(
                "logits",
                "-m",
                model.toString(),
                "--ids",
                "1,2,3",
                "-o",
                file.toString(),
                "--json"));
    NpyArray logits = NpyArray.read(file);
    assertEquals(3, logits.rows());
    assertEquals(json.get("vocabulary").intValue(), logits.columns());

    Path never = folder.resolve("never.npy");
    Invocation bad =
        Invocation.of(
            "logits", "-m", model.toString(), "--ids", "1,99999999", "-o", never.toString());
    assertEquals(ExitCode.USAGE.number(), bad.code(), bad.err());
    try (Stream<Path> files = Files.list(folder)) {
      assertEquals(List.of(file), files.toList());
    }
  }

  @Test
  void logitsGoThroughLinksAndPipes(@TempDir Path folder) throws Exception {
    String model = Invocation.ROOT.resolve("runtime/src/test/resources/tiny/llama3").toString();
    Path file = Files.writeString(folder.resolve("file.npy"), "old");
    Path link = Files.createSymbolicLink(folder.resolve("link.npy"), file);
    String[] logits = {"logits", "-m", model, "--ids", "1,2", "-o", link.toString()};
    assertEquals(new Invocation(0, "", ""), Invocation.of(logits));
    assertTrue(Files.isSymbolicLink(link));
    assertEquals(2, NpyArray.read(file).rows());

    Path pipe = folder.resolve("pipe");
    assertEquals(0, new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor());
    CompletableFuture<byte[]> read =
        CompletableFuture.supplyAsync(() -> {
          try {
            return Files.readAllBytes(pipe);
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
        });
    logits[logits.length - 1] = pipe.toString();
    assertEquals(new Invocation(0, "", ""), Invocation.of(logits));
    assertArrayEquals(Files.readAllBytes(file), read.get(30, TimeUnit.SECONDS));
    try (Stream<Path> files = Files.list(folder)) {
      assertEquals(Set.of(file, link, pipe), files.collect(Collectors.toSet()));
    }
  }

  @Test
  void quantizedFolderIsAModel(@TempDir Path folder) throws IOException {
    String packed = folder.resolve("packed").toString();
    String[] quantize = {"quantize", "-m", BOOKS, "-o", packed, "--scheme", "W3A16g64sym"};
    Invocation made = Invocation.of(quantize);
    assertEquals(0, made.code(), made.err());
    assertTrue(made.out().contains("model.layers.7.mlp.down_proj"), made.out());
    assertTrue(made.out().contains("W3A16g64sym by rtn, 3.25"), made.out());

    assertEquals(ExitCode.USAGE.number(), Invocation.of(quantize).code(), "it is there now");
    JsonNode again = json(Invocation.of(with(quantize, "--overwrite", "--json")));
    assertEquals(56, again.get("linears").size());

    JsonNode inspected = json(Invocation.of("inspect", "-m", packed, "--context", "64", "--json"));
    assertEquals("W3A16g64sym", inspected.get("scheme").textValue());
    assertEquals("llama", inspected.get("architecture").textValue());
    assertEquals(again.get("packed_bytes"), inspected.get("weight_bytes"));
    assertEquals(
        64 * inspected.get("kv_bytes_per_token").longValue(),
        inspected.get("kv_bytes").longValue());
    assertTrue(inspected.get("gpu_bytes").longValue() > inspected.get("weight_bytes").longValue());
    String plain = Invocation.of("inspect", "-m", packed).out();
    assertTrue(plain.contains("W3A16g64sym by rtn"), plain);
    assertTrue(plain.contains("\nmemory on GPU "), plain);
  }

  @Test
  void quantizeReadsTheTokenizerThatItCopies(@TempDir Path folder) throws IOException {
    Path source = Files.createDirectory(folder.resolve("source"));
    Path model = Invocation.ROOT.resolve("runtime/src/test/resources/tiny/llama3");
    for (String file : List.of("config.json", "model.safetensors")) {
      Files.copy(model.resolve(file), source.resolve(file));
    }
    Files.writeString(source.resolve("tokenizer.json"), "{\"version\": \"1.0\", \"model\": {");
    Path packed = folder.resolve("packed");
    Invocation made =
        Invocation.of(
            "quantize", "-m", source.toString(), "-o", packed.toString(), "--scheme", "W4A16");
    assertEquals(ExitCode.BAD_INPUT.number(), made.code(), made.err());
    assertTrue(made.err().contains("tokenizer.json"), made.err());
    assertFalse(Files.exists(packed));
  }

  /** The norm is copied, not packed; the folder made of it could not be loaded. */
  @Test
  void quantizeRefusesWhatCannotBeLoaded(@TempDir Path folder) throws IOException {
    Path model = Invocation.ROOT.resolve("runtime/src/test/resources/tiny/llama3");
    Files.copy(model.resolve("config.json"), folder.resolve("config.json"));
    String norm = "\"model.norm.weight\":{\"dtype\":\"F32\",\"shape\":[128]";
    String changed = "\"model.norm.weight\":{\"dtype\":\"I64\",\"shape\":[ 64]";
    byte[] bytes = Files.readAllBytes(model.resolve("model.safetensors"));
    String latin1 = new String(bytes, StandardCharsets.ISO_8859_1);
    assertTrue(latin1.contains(norm));
    Files.write(
        folder.resolve("model.safetensors"),
        latin1.replace(norm, changed).getBytes(StandardCharsets.ISO_8859_1));
    Path packed = folder.resolve("packed");
    Invocation result =
        Invocation.of(
            "quantize", "-m", folder.toString(), "-o", packed.toString(), "--scheme", "W4A16");
    assertEquals(ExitCode.BAD_INPUT.number(), result.code(), result.err());
    assertTrue(result.err().contains("model.safetensors: model.norm.weight: "), result.err());
    assertFalse(Files.exists(packed));
  }

  @Test
  void benchHasTheColumnsOfLlamaBench() throws IOException {
    String[] args = {
      "bench", "-m", BOOKS, "-p", "2", "-n", "1", "-d", "1", "-b", "2", "-r", "2", "--warm-up", "0"
    };
    List<String> table = Invocation.of(args).out().lines().toList();
    assertEquals(
        List.of(
            "model", "size", "params", "backend", "threads", "test", "t/s", "ms p50 / p95 / p99"),
        cells(table.get(0)));
    List<String> prefill = cells(table.get(2));
    assertEquals("books-8m W16A16 H16", prefill.getFirst());
    assertEquals("8.39 M", prefill.get(2));
    assertEquals("pp2 @ d1 x 2", prefill.get(5));
    assertTrue(prefill.get(6).matches("[0-9.]+ ± [0-9.]+"), prefill.get(6));
    assertEquals("tg1 @ d1 x 2", cells(table.get(3)).get(5));
  }

  private static List<String> cells(String line) {
    return Stream.of(line.substring(1).split("\\|", -1))
        .map(String::strip)
        .filter(cell -> !cell.isEmpty())
        .toList();
  }

  @Test
  void benchFormsAgree() {
    BenchResult result =
        new BenchResult(
            new BenchTest(0, 10, 4, 3),
            new long[] {3_000, 9_000},
            LongStream.rangeClosed(1, 20).map(i -> (i * 8 % 21) * 1_000_000).toArray(),
            new long[] {1_000, 5_000});
    assertEquals(6_666_666.67, result.meanSpeed(), 0.01);
    assertEquals(4242.64, result.nanosDeviation(), 0.01);
    BenchSubject subject =
        new BenchSubject("toy", QuantScheme.parse("W4A16g128H8"), 1L << 30, 6_740_000_000L, 900L);
    MemoryPlan memory = new MemoryPlan(64, 3, 1000, 10, 5);
    BenchTable table =
        new BenchTable(
            subject,
            "cpu",
            2,
            memory,
            77,
            OptionalLong.of(6L << 30),
            Optional.of(new DeviceReading("580", 1980, 3201, 40, 1, 2)),
            List.of(result));
    assertEquals(
        List.of(
            "toy W4A16g128H8",
            "1.00 GiB",
            "6.74 B",
            "cpu",
            "2",
            "tg10 @ d4 x 3",
            "6666666.67 ± 4714045.21",
            "10.000 / 19.000 / 20.000"),
        cells(table.markdown().lines().skip(2).findFirst().orElseThrow()));
    Map<String, Object> record = table.records().getFirst();
    assertEquals(900L + 10 * 3 * (4 + 5), record.get("read_bytes"));
    assertEquals(77L, record.get("rss_bytes"));
    assertEquals(6L << 30, record.get("device_bytes"));
    assertTrue(table.notes().contains("6.00 GiB in use there"), table.notes());
    assertTrue(table.notes().contains("the host takes 0.3 us"), table.notes());
    assertEquals(300L, record.get("host_ns"));
    assertArrayEquals(new long[] {200, 400}, (long[]) record.get("samples_host_ns"));
    assertEquals(memory.totalBytes(), record.get("planned_bytes"));
    List<String> csv = table.csv().lines().toList();
    assertTrue(csv.get(0).startsWith("model_type,model_size,"), csv.get(0));
    assertTrue(csv.get(1).startsWith("\"toy W4A16g128H8\",\"1073741824\","), csv.get(1));
    assertEquals(csv.get(0).split(",", -1).length, csv.get(1).split(",", -1).length);
  }

  @Test
  void doctorLooksAtEverything() throws IOException {
    Invocation plain = Invocation.of("doctor");
    assertEquals(0, plain.code(), plain.err());
    for (String subject : List.of("JDK", "CPU", "vectors", "memory", "CUDA", "kernels")) {
      assertTrue(plain.out().contains("\n" + subject) || plain.out().startsWith(subject), subject);
    }
    JsonNode findings = json(Invocation.of("doctor", "--json")).get("findings");
    assertFalse(findings.isEmpty());
    findings.forEach(finding -> assertFalse(finding.get("state").textValue().isEmpty()));
  }
}
