package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.nibble.quantizer.format.QuantScheme;
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

  private Path quantize(String method, String model, String scheme, int threads)
      throws IOException {
    Path out = folder.resolve(model + scheme + threads);
    CalibratedQuantizer.quantize(
        new Request(
            ByteModels.copy(model, models), out, QuantScheme.parse(scheme), Existing.KEEP, threads),
        MethodCatalog.create(
            method,
            method.endsWith("adaround")
                ? MethodCatalog.Options.DEFAULT.withEpochs(5)
                : MethodCatalog.Options.DEFAULT),
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
