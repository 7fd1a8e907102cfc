package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.format.QuantizationConfig;
import dev.nibble.quantizer.method.CalibratedQuantizer.Calibration;
import dev.nibble.quantizer.method.CalibratedQuantizer.Interrupted;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import dev.nibble.quantizer.method.FolderQuantizer.Request;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Methods quantize every family, to the same bytes on any number of threads. */
class CalibratedMethodsTest {
  @TempDir static Path models;

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "gptq",
        "gptaq",
        "gptaq+rotate",
        "os+",
        "awq",
        "awq+gptq",
        "adaround",
        "awq+adaround",
        "omniquant",
        "omniquant+par",
        "smoothquant",
        "smoothquant+gptaq"
      })
  void writesTheSameBytesOnAnyNumberOfThreads(String method) throws IOException {
    Map<String, String> schemes =
        Map.of("llama3", "W3A16g32", "qwen3", "W2A8sym", "opt", "W4A4KV4");
    for (Map.Entry<String, String> entry : schemes.entrySet()) {
      Path one = quantize(method, entry.getKey(), entry.getValue(), 1);
      Path two = quantize(method, entry.getKey(), entry.getValue(), 2);
      for (String name : List.of("model.safetensors", "config.json")) {
        assertEquals(-1, Files.mismatch(one.resolve(name), two.resolve(name)), name);
      }
    }
  }

  /** Every method there is, on a model with biases, LayerNorm and learned positions. */
  @ParameterizedTest
  @MethodSource("names")
  void quantizesOpt(String method) throws IOException {
    String scheme =
        switch (method) {
          case "rptq" -> "W4A4g32KV4";
          case "spqr" -> "W3A16g32";
          case "llm.int8" -> "W8A8sym";
          default -> "W4A4Q4KV4";
        };
    Path packed = quantize(method, "opt", scheme, 2);
    try (Checkpoint checkpoint = Checkpoint.open(packed)) {
      QuantizationConfig made = checkpoint.config().quantization().orElseThrow();
      assertEquals(method, made.method());
      assertEquals(scheme, made.scheme().toString());
      for (int layer = 0; layer < checkpoint.config().layers(); layer++) {
        assertTrue(checkpoint.find("model.decoder.layers." + layer + ".fc1.qweight").isPresent());
      }
    }
  }

  static List<String> names() {
    return MethodCatalog.names();
  }

  private static MethodCatalog.Options quick(String method) {
    MethodCatalog.Options options = MethodCatalog.Options.DEFAULT;
    return switch (method) {
      case "adaround", "awq+adaround", "omniquant" -> options.withEpochs(3);
      case "omniquant+par" -> options.withEpochs(1).withParSteps(1);
      default -> options;
    };
  }

  private Path quantize(String method, String model, String scheme, int threads)
      throws IOException {
    Path out = folder.resolve(model + scheme + threads);
    CalibratedQuantizer.quantize(
        new Request(
            ByteModels.copy(model, models), out, QuantScheme.parse(scheme), Existing.KEEP, threads),
        MethodCatalog.create(method, quick(method)),
        new Calibration(
            Path.of(
                System.getProperty("project.root"),
                "runtime/src/test/resources/text/calibration.txt"),
            3,
            33,
            1,
            Interrupted.DISCARD),
        CalibratedQuantizerTest.silent());
    return out;
  }
}
