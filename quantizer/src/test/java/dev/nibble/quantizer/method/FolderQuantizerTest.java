package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.format.QuantizationConfig;
import dev.nibble.quantizer.format.SafetensorsWriter;
import dev.nibble.quantizer.format.Tensor;
import dev.nibble.quantizer.format.TensorInfo;
import dev.nibble.quantizer.format.TensorNames;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import dev.nibble.quantizer.method.FolderQuantizer.LinearError;
import dev.nibble.quantizer.method.FolderQuantizer.Listener;
import dev.nibble.quantizer.method.FolderQuantizer.Request;
import dev.nibble.quantizer.method.FolderQuantizer.Summary;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class FolderQuantizerTest {
  private static final ValueLayout.OfShort HALF =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  @TempDir Path folder;

  static Path tiny(String name) {
    return Path.of(System.getProperty("project.root"), "runtime/src/test/resources/tiny", name);
  }

  @ParameterizedTest
  @CsvSource({
    "llama3, W4A16g128", "llama3, W3A16g128sym", "llama3, W2A16g32H8", "llama3, W8A8",
    "qwen3, W6A6", "qwen3, W4A4symKV4H8", "opt, W4A16g64", "opt, W3A16H8",
  })
  void packsEachLinearAndKeepsTheRest(String model, String schemeName) throws IOException {
    QuantScheme scheme = QuantScheme.parse(schemeName);
    Path packedFolder = folder.resolve("packed");
    Summary summary = quantize(tiny(model), packedFolder, schemeName);
    try (Checkpoint source = Checkpoint.open(tiny(model));
        Checkpoint packed = Checkpoint.open(packedFolder)) {
      ModelConfig config = source.config();
      assertEquals(scheme, packed.config().scheme());
      TensorNames names = TensorNames.of(config.architecture());
      int expected = 0;
      long bytes = 0;
      long weights = 0;
      int linears = 0;
      for (int layer = 0; layer < config.layers(); layer++) {
        for (LinearRole role : names.linears()) {
          var layout =
              new PackedLayout(
                  scheme.weightBits(), config.rows(role), config.columns(role), scheme.groupSize());
          var module = names.linear(layer, role);
          double error = difference(source, module.weight(), packed, module.name(), layout, scheme);
          linears++;
          LinearError found =
              summary.linears().stream()
                  .filter(linear -> linear.name().equals(module.name()))
                  .findFirst()
                  .orElseThrow();
          assertEquals(error, found.relativeError(), 1e-12);
          bytes += layout.qweightBytes() + layout.scaleCount() * (scheme.symmetric() ? 2 : 3);
          weights += (long) layout.rows() * layout.columns();
          expected += scheme.symmetric() ? 2 : 3;
        }
      }
      String head = config.tiedEmbeddings() ? names.embedding().weight() : names.head().weight();
      if (scheme.headBits() == 8) {
        var layout = new PackedLayout(8, config.vocabSize(), config.hiddenSize(), 0);
        assertTrue(difference(source, head, packed, "lm_head", layout, scheme) < 0.01);
        bytes += layout.qweightBytes() + layout.scaleCount() * (scheme.symmetric() ? 2 : 3);
        weights += (long) layout.rows() * layout.columns();
        expected += scheme.symmetric() ? 2 : 3;
        linears++;
      }
      assertEquals(linears, summary.linears().size());
      for (String name : source.names()) {
        boolean isPacked =
            name.matches(".*(_proj|fc1|fc2)\\.weight")
                || (scheme.headBits() == 8 && name.equals("lm_head.weight"));
        assertEquals(isPacked, packed.find(name).isEmpty(), name);
        if (!isPacked) {
          Tensor kept = source.find(name).orElseThrow();
          assertEquals(-1, kept.data().mismatch(packed.find(name).orElseThrow().data()), name);
          expected++;
        }
      }
      assertEquals(expected, packed.names().size());
      QuantizationConfig description = packed.config().quantization().orElseThrow();
      assertEquals(8.0 * bytes / weights, description.bitsPerWeight());
      assertEquals(description.bitsPerWeight(), summary.bitsPerWeight());
      assertEquals("rtn", description.method());
      assertEquals(scheme.headBits() == 16, description.keptModules().contains("lm_head"));
      assertTrue(Files.exists(packedFolder.resolve("generation_config.json")));
      assertOnly(folder, "packed");
    }
  }

  /** Checks a packed linear against round-to-nearest of its source, and returns its error. */
  private static double difference(
      Checkpoint source,
      String weight,
      Checkpoint packed,
      String module,
      PackedLayout layout,
      QuantScheme scheme)
      throws IOException {
    float[] weights = source.find(weight).orElseThrow().toFloats();
    MemorySegment qweight = packed.require(module + ".qweight", layout.qweightBytes()).data();
    MemorySegment scales = packed.require(module + ".scales", layout.scaleCount()).data();
    MemorySegment zeros =
        scheme.symmetric() ? null : packed.require(module + ".zeros", layout.scaleCount()).data();
    double error = 0;
    double norm = 0;
    for (int r = 0; r < layout.rows(); r++) {
      for (int c = 0; c < layout.columns(); c++) {
        long at = layout.scaleIndex(r, layout.group(c));
        double scale = Float.float16ToFloat(scales.getAtIndex(HALF, at));
        int zero =
            zeros == null ? layout.impliedZero() : zeros.get(ValueLayout.JAVA_BYTE, at) & 0xff;
        float w = weights[r * layout.columns() + c];
        double e = w - (layout.code(qweight, r, c) - zero) * scale;
        assertTrue(
            Math.abs(e) <= scale * (scheme.symmetric() ? 1.01 : 0.76) + 1e-9,
            () -> module + ": " + w + " is " + e + " off at scale " + scale);
        error += e * e;
        norm += (double) w * w;
      }
    }
    return Math.sqrt(error / norm);
  }

  @ParameterizedTest
  @CsvSource({"llama3, W16A16KV4", "opt, W16A8", "qwen3, W16A16", "llama3, W16A16H8"})
  void weightsOf16BitsAreCopied(String model, String scheme) throws IOException {
    Summary summary = quantize(tiny(model), folder.resolve("packed"), scheme);
    assertEquals(scheme.endsWith("H8") ? 1 : 0, summary.linears().size());
    try (Checkpoint source = Checkpoint.open(tiny(model));
        Checkpoint packed = Checkpoint.open(folder.resolve("packed"))) {
      assertEquals(scheme, packed.config().scheme().toString());
      for (String name : source.names()) {
        if (!name.equals("lm_head.weight")) {
          Tensor kept = packed.find(name).orElseThrow();
          assertEquals(-1, source.find(name).orElseThrow().data().mismatch(kept.data()), name);
        }
      }
    }
  }

  @Test
  void bytesDoNotDependOnTheThreads() throws IOException {
    for (String scheme : List.of("W3A16g32", "W4A16H8")) {
      Map<String, byte[]> first = null;
      for (int threads = 1; threads <= 3; threads++) {
        Path packed = folder.resolve(scheme + threads);
        FolderQuantizer.quantize(
            request(tiny("llama3"), packed, scheme, Existing.KEEP, threads), Listener.SILENT);
        Map<String, byte[]> files = files(packed);
        first = first == null ? files : first;
        assertSame(first, files);
      }
    }
  }

  @Test
  void shardsHoldTheSameTensors() throws IOException {
    Path whole = folder.resolve("whole");
    Path sharded = folder.resolve("sharded");
    quantize(tiny("llama3"), whole, "W4A16g128");
    FolderQuantizer.quantize(
        request(tiny("llama3"), sharded, "W4A16g128", Existing.KEEP, 1), Listener.SILENT, 140_000);
    try (Checkpoint expected = Checkpoint.open(whole);
        Checkpoint found = Checkpoint.open(sharded)) {
      assertEquals(new TreeSet<>(expected.names()), new TreeSet<>(found.names()));
      for (String name : expected.names()) {
        MemorySegment data = found.find(name).orElseThrow().data();
        assertEquals(-1, expected.find(name).orElseThrow().data().mismatch(data), name);
      }
    }
    try (var entries = Files.newDirectoryStream(sharded, "model-*.safetensors")) {
      List<Path> shards = new ArrayList<>();
      entries.forEach(shards::add);
      assertTrue(shards.size() > 2, shards.toString());
      for (Path shard : shards) {
        assertTrue(Files.size(shard) < 144_000, shard + " " + Files.size(shard));
      }
      Files.delete(shards.getFirst());
    }
    assertThrows(NoSuchFileException.class, () -> Checkpoint.open(sharded).close());
  }

  @Test
  void progressRisesToTheEnd() throws IOException {
    List<Long> done = new ArrayList<>();
    List<String> linears = new ArrayList<>();
    Listener listener =
        new Listener() {
          @Override
          public void progress(String tensor, long doneBytes, long totalBytes) {
            assertTrue(done.isEmpty() || doneBytes >= done.getLast());
            assertTrue(doneBytes <= totalBytes);
            done.add(doneBytes);
            if (doneBytes == totalBytes) {
              done.add(totalBytes);
            }
          }

          @Override
          public void quantized(LinearError linear) {
            linears.add(linear.name());
          }
        };
    Summary summary =
        FolderQuantizer.quantize(
            request(tiny("opt"), folder.resolve("packed"), "W4A16H8", Existing.KEEP, 2), listener);
    assertEquals(summary.sourceBytes(), done.getLast());
    assertEquals(summary.linears().stream().map(LinearError::name).toList(), linears);
    assertTrue(summary.packedBytes() < summary.sourceBytes());
  }

  @Test
  void refusesWhatItCannotPackAndLeavesNothing() throws IOException {
    Path packed = folder.resolve("packed");
    Path out = folder.resolve("out");
    quantize(tiny("llama3"), packed, "W4A16");
    assertThrows(ModelFormatException.class, () -> quantize(packed, out, "W4A16"));
    Path none = folder.resolve("none");
    assertThrows(NoSuchFileException.class, () -> quantize(none, out, "W4A16"));
    assertOnly(folder, "packed");
  }

  @ParameterizedTest
  @CsvSource({
    "model.layers.1.mlp.down_proj.weight, NaN",
    "model.layers.1.mlp.down_proj.weight, Infinity",
    "model.layers.1.mlp.down_proj.weight, -Infinity",
    "model.layers.1.mlp.down_proj.weight, 1e30",
    "model.embed_tokens.weight, NaN",
    "model.norm.weight, -Infinity"
  })
  void namesTheTensorWithABadWeight(String tensor, float bad) throws IOException {
    Path source =
        changed((name, bytes) -> {
          if (name.equals(tensor)) {
            bytes.set(INT, bytes.byteSize() / 2, Float.floatToRawIntBits(bad));
          }
          return name;
        });
    var e =
        assertThrows(
            ModelFormatException.class,
            () -> quantize(source, folder.resolve("packed"), "W4A16g128"));
    assertTrue(e.getMessage().contains(tensor), e.getMessage());
    assertFalse(Files.exists(folder.resolve("packed")));
    assertOnly(folder, "source");
  }

  @ParameterizedTest
  @CsvSource({
    "model.layers.1.mlp.down_proj.weight, model.layers.1.mlp.down_proj.weigth",
    "model.norm.weight, model.layers.2.norm.weight",
  })
  void namesTheTensorThatNoModelHas(String name, String wrong) throws IOException {
    Path source = changed((tensor, bytes) -> tensor.equals(name) ? wrong : tensor);
    var e =
        assertThrows(
            ModelFormatException.class,
            () -> quantize(source, folder.resolve("packed"), "W16A16KV4"));
    assertTrue(e.getMessage().contains(wrong) || e.getMessage().contains(name), e.getMessage());
    assertOnly(folder, "source");
  }

  private interface Change {
    String apply(String tensor, MemorySegment bytes);
  }

  /** A copy of tiny llama3 with some bytes or names changed. */
  private Path changed(Change change) throws IOException {
    Path source = copy(tiny("llama3"), folder.resolve("source"));
    Files.delete(source.resolve("model.safetensors"));
    List<TensorInfo> infos = new ArrayList<>();
    Map<String, MemorySegment> data = new TreeMap<>();
    try (Checkpoint original = Checkpoint.open(tiny("llama3"))) {
      for (String name : original.names()) {
        Tensor tensor = original.find(name).orElseThrow();
        assertEquals(DType.F32, tensor.dtype());
        MemorySegment bytes = MemorySegment.ofArray(tensor.data().toArray(ValueLayout.JAVA_BYTE));
        String renamed = change.apply(name, bytes);
        infos.add(new TensorInfo(renamed, tensor.dtype(), tensor.shape()));
        data.put(renamed, bytes);
      }
    }
    try (SafetensorsWriter writer =
        SafetensorsWriter.create(source.resolve("model.safetensors"), infos, Map.of())) {
      for (var entry : data.entrySet()) {
        writer.write(entry.getKey(), entry.getValue());
      }
      writer.finish();
    }
    return source;
  }

  static Summary quantize(Path source, Path destination, String scheme) throws IOException {
    return FolderQuantizer.quantize(
        request(source, destination, scheme, Existing.KEEP, 2), Listener.SILENT);
  }

  static Request request(
      Path source, Path destination, String scheme, Existing existing, int threads) {
    return new Request(source, destination, QuantScheme.parse(scheme), existing, threads);
  }

  static void assertOnly(Path folder, String... names) throws IOException {
    assertEquals(new TreeSet<>(List.of(names)), new TreeSet<>(names(folder)));
  }

  private static List<String> names(Path folder) throws IOException {
    try (var entries = Files.list(folder)) {
      return entries.map(entry -> entry.getFileName().toString()).toList();
    }
  }

  static Map<String, byte[]> files(Path folder) throws IOException {
    Map<String, byte[]> files = new TreeMap<>();
    for (String name : names(folder)) {
      files.put(name, Files.readAllBytes(folder.resolve(name)));
    }
    return files;
  }

  static void assertSame(Map<String, byte[]> expected, Map<String, byte[]> found) {
    assertEquals(expected.keySet(), found.keySet());
    expected.forEach((name, bytes) -> assertArrayEquals(bytes, found.get(name), name));
  }

  static Path copy(Path from, Path to) throws IOException {
    Files.createDirectories(to);
    for (String name : names(from)) {
      Files.copy(from.resolve(name), to.resolve(name));
    }
    return to;
  }
}
