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
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Every method of one pass quantizes every family, to the same bytes on any number of threads. */
class CalibratedMethodsTest {
  @TempDir static Path models;

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"gptq"})
  void writesTheSameBytesOnAnyNumberOfThreads(String method) throws IOException {
    for (String model : List.of("llama3", "qwen3", "opt")) {
      for (String scheme : List.of("W3A16g32", "W4A4KV4")) {
        Path one = quantize(method, model, scheme, 1);
        Path two = quantize(method, model, scheme, 2);
        for (String name : List.of("model.safetensors", "config.json")) {
          assertEquals(-1, Files.mismatch(one.resolve(name), two.resolve(name)), name);
        }
      }
    }
  }

  private Path quantize(String method, String model, String scheme, int threads)
      throws IOException {
    Path out = folder.resolve(model + scheme + threads);
    CalibratedQuantizer.quantize(
        new Request(
            ByteModels.copy(model, models), out, QuantScheme.parse(scheme), Existing.KEEP, threads),
        MethodCatalog.create(method, MethodCatalog.Options.DEFAULT),
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
