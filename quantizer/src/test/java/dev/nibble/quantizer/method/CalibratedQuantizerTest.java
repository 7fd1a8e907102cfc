package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.format.Tensor;
import dev.nibble.quantizer.method.CalibratedQuantizer.Calibration;
import dev.nibble.quantizer.method.CalibratedQuantizer.Interrupted;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import dev.nibble.quantizer.method.FolderQuantizer.LinearError;
import dev.nibble.quantizer.method.FolderQuantizer.Request;
import dev.nibble.quantizer.method.FolderQuantizer.Summary;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class CalibratedQuantizerTest {
  @TempDir static Path models;

  @TempDir Path folder;

  @ParameterizedTest
  @CsvSource({
    "llama3, W4A16g128",
    "llama3, W3A16g32sym",
    "llama3, W2A16g64H8",
    "qwen3, W6A6KV4",
    "opt, W4A4Q4KV4",
    "opt, W3A16H8",
    "llama3, W16A16KV4"
  })
  void nearestThroughTheFrameEqualsRtn(String model, String scheme) throws IOException {
    Path plain = folder.resolve("plain");
    Path framed = folder.resolve("framed");
    Summary expected =
        FolderQuantizer.quantize(request(model, plain, scheme, 1), FolderQuantizer.Listener.SILENT);
    Summary found = quantize(model, framed, scheme, 2, nearest());
    try (Checkpoint a = Checkpoint.open(plain);
        Checkpoint b = Checkpoint.open(framed)) {
      assertEquals(List.copyOf(a.names()), List.copyOf(b.names()));
      for (String name : a.names()) {
        Tensor one = a.find(name).orElseThrow();
        Tensor other = b.find(name).orElseThrow();
        assertEquals(one.dtype(), other.dtype(), name);
        assertEquals(one.shape(), other.shape(), name);
        assertEquals(-1, one.data().mismatch(other.data()), name);
      }
      assertEquals(
          a.config().quantization().orElseThrow().keptModules(),
          b.config().quantization().orElseThrow().keptModules());
      assertTrue(b.config().quantization().orElseThrow().calibrationSha256().isPresent());
    }
    assertEquals(expected.bitsPerWeight(), found.bitsPerWeight());
    assertEquals(expected.packedBytes(), found.packedBytes());
    assertEquals(expected.linears().size(), found.linears().size());
    for (LinearError linear : expected.linears()) {
      LinearError same =
          found.linears().stream()
              .filter(l -> l.name().equals(linear.name()))
              .findFirst()
              .orElseThrow();
      assertEquals(linear.relativeError(), same.relativeError(), 1e-9, linear.name());
    }
    assertEquals(List.of("framed", "plain"), entries(folder));
  }

  @Test
  void goesOnWhereARunEndedAndWritesTheSameBytes() throws IOException {
    Path whole = folder.resolve("whole");
    quantize("llama3", whole, "W4A8KV4", 1, nearest());
    Path resumed = folder.resolve("resumed");
    BlockMethod nearest = nearest();
    List<Integer> layers = new ArrayList<>();
    for (int allowed = 1; allowed < 10 && !Files.exists(resumed); allowed++) {
      int most = allowed;
      BlockMethod failing =
          new Watched(
              nearest,
              task -> {
                if (task.block().layer() >= most) {
                  throw new IOException("killed");
                }
                layers.add(task.block().layer());
              });
      try {
        quantize("llama3", resumed, "W4A8KV4", 2, failing, Interrupted.RESUME);
      } catch (IOException e) {
        assertEquals("killed", e.getMessage());
        assertFalse(Files.exists(resumed));
        assertFalse(Files.exists(folder.resolve("resumed.partial")));
      }
    }
    assertEquals(layers.stream().distinct().toList(), layers, "no block is done twice");
    for (String name : List.of("model.safetensors", "config.json")) {
      assertArrayEquals(
          Files.readAllBytes(whole.resolve(name)), Files.readAllBytes(resumed.resolve(name)), name);
    }
    assertEquals(List.of("resumed", "whole"), entries(folder));
  }

  /** The watched method is given every window of the full-precision model. */
  @ParameterizedTest
  @ValueSource(strings = {"nearest", "gptq", "owq", "spqr"})
  void someWindowsOfTheFullModelAreEnough(String name) throws IOException {
    Calibration many = new Calibration(text(), 18, 9, 1, Interrupted.DISCARD);
    List<Integer> windows = new ArrayList<>();
    Path some = folder.resolve("some");
    Path all = folder.resolve("all");
    BlockMethod method = MethodCatalog.create(name, MethodCatalog.Options.DEFAULT);
    assertFalse(method.followsFullPrecision());
    CalibratedQuantizer.quantize(request("llama3", some, "W3A16g32", 1), method, many, silent());
    CalibratedQuantizer.quantize(
        request("llama3", all, "W3A16g32", 1),
        new Watched(method, task -> windows.add(task.fullInputs().windows())),
        many,
        silent());
    assertEquals(List.of(18, 18), windows);
    assertArrayEquals(
        Files.readAllBytes(all.resolve("model.safetensors")),
        Files.readAllBytes(some.resolve("model.safetensors")));
  }

  @Test
  void anotherRunsBlocksAreRefusedOrForgotten() throws IOException {
    Path out = folder.resolve("out");
    BlockMethod failing =
        new Watched(
            nearest(),
            task -> {
              if (task.block().layer() == 1) {
                throw new IOException("killed");
              }
            });
    assertThrows(IOException.class, () -> quantize("llama3", out, "W4A16", 1, failing));
    assertTrue(Files.exists(folder.resolve("out.resume")));
    IllegalArgumentException refusal =
        assertThrows(
            IllegalArgumentException.class,
            () -> quantize("llama3", out, "W3A16", 1, nearest(), Interrupted.RESUME));
    assertTrue(refusal.getMessage().contains("W3A16"), refusal.getMessage());
    // As a run leaves it that is killed while it forgets the one before.
    Files.delete(folder.resolve("out.resume").resolve("settings.txt"));
    quantize("llama3", out, "W3A16", 1, nearest(), Interrupted.RESUME);
    assertEquals(List.of("out"), entries(folder));
  }

  @Test
  void refusesBadText() throws IOException {
    Path empty = Files.createFile(folder.resolve("empty.txt"));
    Path small = Files.writeString(folder.resolve("small.txt"), "A few words.");
    Path bytes = Files.write(folder.resolve("bytes.txt"), new byte[] {'a', (byte) 0xff, 'b'});
    for (Path text : List.of(empty, small, bytes)) {
      ModelFormatException e =
          assertThrows(ModelFormatException.class, () -> quantizeOn(text, 2, 16));
      assertTrue(e.getMessage().startsWith(text.toString()), e.getMessage());
    }
    assertThrows(NoSuchFileException.class, () -> quantizeOn(folder.resolve("none"), 2, 16));
    assertThrows(IllegalArgumentException.class, () -> quantizeOn(text(), 0, 16));
    assertThrows(IllegalArgumentException.class, () -> quantizeOn(text(), 1, 200_000));
    assertEquals(List.of("bytes.txt", "empty.txt", "small.txt"), entries(folder));
  }

  @ParameterizedTest
  @CsvSource({
    "gptq, W4A16g64, model.layers.1.mlp.down_proj.weight, NaN, model.layers.1.mlp.down_proj.weight",
    "rptq, W4A8g32, model.layers.0.self_attn.v_proj.weight, Infinity,"
        + " model.layers.0.self_attn.v_proj.weight",
    "omniquant, W4A16, model.layers.1.input_layernorm.weight, NaN,"
        + " model.layers.1.input_layernorm.weight",
    "gptaq, W4A16, model.embed_tokens.weight, -Infinity, model.embed_tokens.weight",
    "gptq+rotate, W4A16, model.layers.1.mlp.up_proj.weight, NaN, model.layers.1.mlp.up_proj.weight",
    "awq, W4A16, model.layers.1.mlp.down_proj.weight, 1e30, model.layers.1.mlp.down_proj.weight",
    "omniquant, W4A16g32, model.layers.1.self_attn.k_proj.weight, 1e7,"
        + " model.layers.1.self_attn.k_proj.weight",
    "spqr, W3A16g32, model.layers.0.self_attn.q_proj.weight, 1e30,"
        + " model.layers.0.self_attn.q_proj.weight",
    "gptq, W4A8, model.layers.1.post_attention_layernorm.weight, 3e38, model.layers.1.self_attn",
    "rptq, W16A16KV4, model.layers.1.post_attention_layernorm.weight, 3e38, model.layers.1.self_attn"
  })
  void namesTheTensorWithABadNumber(
      String method, String scheme, String tensor, float value, String named) throws IOException {
    Path source = ByteModels.changed("llama3", folder.resolve("sources"), tensor, value);
    Path out = folder.resolve("out");
    Request request = new Request(source, out, QuantScheme.parse(scheme), Existing.KEEP, 1);
    ModelFormatException e =
        assertThrows(
            ModelFormatException.class,
            () ->
                CalibratedQuantizer.quantize(
                    request,
                    MethodCatalog.create(method, MethodCatalog.Options.DEFAULT),
                    new Calibration(text(), 1, 16, 1, Interrupted.DISCARD),
                    silent()));
    assertTrue(e.getMessage().contains(": " + named + ": "), e.getMessage());
    assertFalse(Files.exists(out));
    assertFalse(Files.exists(folder.resolve("out.partial")));
  }

  @ParameterizedTest
  @CsvSource({
    "omniquant, W16A16KV4",
    "smoothquant, W16A16KV4",
    "awq, W16A16KV8",
    "llm.int8, W4A16",
    "owq, W16A16KV4",
    "spqr, W8A8",
    "rptq, W4A8"
  })
  void saysWhichSchemesAMethodCanDo(String method, String scheme) {
    IllegalArgumentException e =
        assertThrows(
            IllegalArgumentException.class,
            () ->
                quantize(
                    "llama3",
                    folder.resolve("out"),
                    scheme,
                    1,
                    MethodCatalog.create(method, MethodCatalog.Options.DEFAULT)));
    assertTrue(
        e.getMessage().matches(".*(it can do|it does|it rounds|such as) .*"), e.getMessage());
  }

  private void quantizeOn(Path text, int samples, int context) throws IOException {
    CalibratedQuantizer.quantize(
        request("llama3", folder.resolve("out"), "W4A16", 1),
        nearest(),
        new Calibration(text, samples, context, 0, Interrupted.DISCARD),
        silent());
  }

  private static Summary quantize(
      String model, Path out, String scheme, int threads, BlockMethod method) throws IOException {
    return quantize(model, out, scheme, threads, method, Interrupted.DISCARD);
  }

  private static Summary quantize(
      String model,
      Path out,
      String scheme,
      int threads,
      BlockMethod method,
      Interrupted interrupted)
      throws IOException {
    return CalibratedQuantizer.quantize(
        request(model, out, scheme, threads),
        method,
        new Calibration(text(), 3, 33, 1, interrupted),
        silent());
  }

  private static Request request(String model, Path out, String scheme, int threads)
      throws IOException {
    return new Request(
        ByteModels.copy(model, models), out, QuantScheme.parse(scheme), Existing.KEEP, threads);
  }

  private static BlockMethod nearest() {
    return MethodCatalog.create("nearest", MethodCatalog.Options.DEFAULT);
  }

  private static Path text() {
    return Path.of(
        System.getProperty("project.root"), "runtime/src/test/resources/text/calibration.txt");
  }

  private static List<String> entries(Path folder) throws IOException {
    try (Stream<Path> entries = Files.list(folder)) {
      return entries.map(entry -> entry.getFileName().toString()).sorted().toList();
    }
  }

  static CalibratedQuantizer.Listener silent() {
    return new CalibratedQuantizer.Listener() {
      @Override
      public void step(int block, int blocks, long done, long total, double loss) {}

      @Override
      public void blockDone(int block, int blocks, double loss) {}

      @Override
      public void progress(String tensor, long doneBytes, long totalBytes) {}

      @Override
      public void quantized(LinearError linear) {}
    };
  }

  /** A method that is watched, or stopped, before each block. */
  private record Watched(BlockMethod method, Watcher watcher) implements BlockMethod {
    interface Watcher {
      void before(BlockTask task) throws IOException;
    }

    @Override
    public String name() {
      return method.name();
    }

    @Override
    public Map<String, String> settings() {
      return method.settings();
    }

    @Override
    public void check(ModelConfig config, QuantScheme scheme) {
      method.check(config, scheme);
    }

    @Override
    public QuantizedBlock quantize(BlockTask task) throws IOException {
      watcher.before(task);
      return method.quantize(task);
    }
  }
}
