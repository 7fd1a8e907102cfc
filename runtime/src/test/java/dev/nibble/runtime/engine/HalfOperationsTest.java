package dev.nibble.runtime.engine;

import static dev.nibble.runtime.LogitErrors.error;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.method.FolderQuantizer;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import dev.nibble.quantizer.method.FolderQuantizer.Listener;
import dev.nibble.quantizer.method.FolderQuantizer.Request;
import dev.nibble.quantizer.tensor.TensorOperations;
import dev.nibble.runtime.NpyArray;
import dev.nibble.runtime.SyntheticModel;
import dev.nibble.runtime.TestModels;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class HalfOperationsTest {
  private static final long SEED = 20_261_123L;

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"llama3", "qwen3", "opt"})
  void unquantizedEqualsTheReference(String name) throws IOException {
    Path model = TestModels.resource("tiny/" + name);
    JsonNode answers = TestModels.json(model.resolve("golden.json"));
    float[] golden = NpyArray.read(model.resolve("logits.npy")).values();
    try (Engine halves = HalfOperations.engine(model, ModelOptions.DEFAULT)) {
      double error = error(golden, TestModels.logits(halves, TestModels.ints(answers.get("ids"))));
      assertTrue(error <= 1e-4, () -> "error " + error);
    }
  }

  /**
   * Without what they round, logits are off by more than a GPU's may be where inputs or a cache
   * have 6 bits or fewer; elsewhere by about what halves are.
   */
  @ParameterizedTest
  @CsvSource({
    "W4A16g128, 1e-9, 1e-5",
    "W8A8, 1e-6, 2e-3",
    "W6A6, 2e-3, 1e-2",
    "W4A16g32KV3, 2e-3, 1e-2",
    "W4A4Q4KV4, 1e-2, 0.2"
  })
  void halvesMoveLogitsByWhatTheSchemeLetsThem(String scheme, double least, double most)
      throws IOException {
    Path packed = packed(scheme);
    double error =
        error(
            logits(TestModels.cpu(packed, ModelOptions.DEFAULT)),
            logits(HalfOperations.engine(packed, ModelOptions.DEFAULT)));
    assertTrue(error > least && error < most, () -> "error " + error);
  }

  /** Kept columns, clusters and folded scales too: what has 16 or 8 bits moves little. */
  @ParameterizedTest
  @CsvSource({"W4A16g32H8, 1e-5", "W4A8g32H8, 2e-3", "W8A8H8, 2e-3"})
  void whatMethodsAddIsTheCpus(String scheme, double most) throws IOException {
    Path packed = Files.createDirectory(folder.resolve("kept"));
    SyntheticModel.ofKeptColumns(QuantScheme.parse(scheme), SEED).writePacked(packed);
    double error =
        error(
            logits(TestModels.cpu(packed, ModelOptions.DEFAULT)),
            logits(HalfOperations.engine(packed, ModelOptions.DEFAULT)));
    assertTrue(error < most, () -> "error " + error);
  }

  /** What the activation gives becomes codes at once. */
  @ParameterizedTest
  @ValueSource(strings = {"W6A6", "W4A4Q4KV4"})
  void oneMoreRoundingIsSeen(String scheme) throws IOException {
    Path packed = packed(scheme);
    ModelWeights weights = ModelWeights.of(Checkpoint.open(packed));
    TensorOperations more =
        new HalfOperations(weights) {
          @Override
          public void swiGlu(float[] gate, float[] up, int length) {
            super.swiGlu(gate, up, length);
            for (int i = 0; i < length; i++) {
              gate[i] = TensorCore.Halves.round(gate[i]);
            }
          }
        };
    double error =
        error(
            logits(HalfOperations.engine(packed, ModelOptions.DEFAULT)),
            logits(CpuEngine.create(weights, ModelOptions.DEFAULT, more)));
    assertTrue(error > 2e-3, () -> "error " + error);
  }

  private Path packed(String scheme) throws IOException {
    Path packed = folder.resolve("packed");
    FolderQuantizer.quantize(
        new Request(TestModels.books8m(), packed, QuantScheme.parse(scheme), Existing.KEEP, 2),
        Listener.SILENT);
    return packed;
  }

  private static float[] logits(Engine engine) {
    try (engine) {
      return TestModels.logits(engine, new Random(SEED).ints(40, 0, engine.vocabSize()).toArray());
    }
  }
}
