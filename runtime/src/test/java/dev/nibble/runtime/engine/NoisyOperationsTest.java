package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.method.FolderQuantizer;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import dev.nibble.quantizer.method.FolderQuantizer.Listener;
import dev.nibble.quantizer.method.FolderQuantizer.Request;
import dev.nibble.runtime.LogitErrors;
import dev.nibble.runtime.TestModels;
import dev.nibble.runtime.model.ModelOptions;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class NoisyOperationsTest {
  @TempDir Path folder;

  /** Where no code can flip, logits are off by about what halves are. */
  @ParameterizedTest
  @CsvSource({"W16A16, 1e-9, 1e-5", "W4A16g128, 1e-9, 1e-5", "W8A8, 1e-6, 2e-3"})
  void noiseIsThatOfHalves(String scheme, double least, double most) throws IOException {
    Path model = TestModels.books8m();
    if (!scheme.equals("W16A16")) {
      model = folder.resolve("packed");
      FolderQuantizer.quantize(
          new Request(TestModels.books8m(), model, QuantScheme.parse(scheme), Existing.KEEP, 2),
          Listener.SILENT);
    }
    int[] tokens = {5, 100, 7, 2000, 31};
    try (Engine cpu = TestModels.cpu(model, ModelOptions.DEFAULT);
        Engine noisy = NoisyOperations.engine(model, ModelOptions.DEFAULT, 1)) {
      double error =
          LogitErrors.error(TestModels.logits(cpu, tokens), TestModels.logits(noisy, tokens));
      assertTrue(error > least && error < most, () -> "error " + error);
    }
  }
}
