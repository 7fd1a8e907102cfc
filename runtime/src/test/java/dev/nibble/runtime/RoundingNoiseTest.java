package dev.nibble.runtime;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.method.FolderQuantizer;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import dev.nibble.quantizer.method.FolderQuantizer.Listener;
import dev.nibble.quantizer.method.FolderQuantizer.Request;
import dev.nibble.runtime.engine.Engine;
import dev.nibble.runtime.model.ModelOptions;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RoundingNoiseTest {
  @TempDir Path folder;

  @Test
  void isThatOfHalves() throws IOException {
    int[] tokens = {5, 100, 7, 2000, 31};
    RoundingNoise.copy(TestModels.books8m(), folder, 1);
    try (Engine model = TestModels.cpu(TestModels.books8m(), ModelOptions.DEFAULT);
        Engine copy = TestModels.cpu(folder, ModelOptions.DEFAULT)) {
      double error =
          RoundingNoise.error(TestModels.logits(model, tokens), TestModels.logits(copy, tokens));
      assertTrue(error > 1e-9 && error < 1e-5, () -> "error " + error);
    }
  }

  @Test
  void packedModelsGetIt() throws IOException {
    int[] tokens = {5, 100, 7, 2000, 31};
    Path packed = folder.resolve("packed");
    FolderQuantizer.quantize(
        new Request(TestModels.books8m(), packed, QuantScheme.parse("W4A16g128"), Existing.KEEP, 2),
        Listener.SILENT);
    RoundingNoise.copyPacked(packed, folder.resolve("copy"), 1);
    try (Engine model = TestModels.cpu(packed, ModelOptions.DEFAULT);
        Engine copy = TestModels.cpu(folder.resolve("copy"), ModelOptions.DEFAULT)) {
      double error =
          RoundingNoise.error(TestModels.logits(model, tokens), TestModels.logits(copy, tokens));
      assertTrue(error > 1e-9 && error < 1e-5, () -> "error " + error);
    }
  }
}
