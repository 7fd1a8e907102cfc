package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.calibration.BlockForward;
import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.TensorNames;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ModelRotationTest {
  private static final int CONTEXT = 9;

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 16, 48, 127, 128, 160})
  void rotationsAreOrthogonalAndSpread(int n) {
    double[] rotation = Orthogonal.hadamard(n, new Random(1));
    assertOrthogonal(rotation, n);
    double[] fixing = Orthogonal.fixingOnes(n, new Random(1));
    assertOrthogonal(fixing, n);
    for (int j = 0; j < n; j++) {
      double sum = 0;
      for (int i = 0; i < n; i++) {
        sum += fixing[i * n + j];
      }
      assertEquals(1, sum, 1e-9, "the vector of ones");
    }
    double largest = Arrays.stream(rotation).map(Math::abs).max().orElseThrow();
    assertTrue(n < 128 || largest < 0.5, "an entry of " + largest);
  }

  /** The head's outputs of the whole model, through the blocks of this module. */
  @ParameterizedTest
  @CsvSource({"llama3, 0", "qwen3, 0", "opt, 0", "llama3, 2", "opt, 2"})
  void keepsTheModelsFunction(String model, int flaw) throws IOException {
    Path source = FolderQuantizerTest.tiny(model);
    Path rotated = Files.createDirectory(folder.resolve("rotated"));
    try (Checkpoint checkpoint = Checkpoint.open(source)) {
      RotatedFolder.write(checkpoint, rotated, 7, 2);
      try (Checkpoint copy = Checkpoint.open(rotated)) {
        float[] expected = logits(checkpoint, 0);
        float[] found = logits(copy, flaw);
        double largest = 0;
        double error = 0;
        for (int i = 0; i < expected.length; i++) {
          largest = Math.max(largest, Math.abs(expected[i]));
          error = Math.max(error, Math.abs(expected[i] - found[i]));
        }
        if (flaw == 0) {
          assertEquals(0, error / largest, 1e-4, model);
        } else {
          assertTrue(error / largest > 1e-3, "a norm weight of " + flaw + " must show");
        }
      }
    }
  }

  /** Logits; with a flaw, the first norm of the first block has that weight in one channel. */
  private static float[] logits(Checkpoint checkpoint, int flaw) throws IOException {
    ModelConfig config = checkpoint.config();
    TensorNames names = TensorNames.of(config.architecture());
    int hidden = config.hiddenSize();
    float[] embedding = floats(checkpoint, names.embedding().weight());
    float[] x = new float[CONTEXT * hidden];
    for (int t = 0; t < CONTEXT; t++) {
      for (int c = 0; c < hidden; c++) {
        x[t * hidden + c] = embedding[(t * 13 + 5) * hidden + c];
        if (names.positions().isPresent()) {
          float[] positions = floats(checkpoint, names.positions().get().weight());
          x[t * hidden + c] += positions[(t + names.positionOffset()) * hidden + c];
        }
      }
    }
    try (WorkerThreads workers = new WorkerThreads(1)) {
      BlockForward forward = new BlockForward(config, CONTEXT, workers);
      for (int layer = 0; layer < config.layers(); layer++) {
        TransformerBlock block = TransformerBlock.load(checkpoint, config, layer);
        if (flaw != 0 && layer == 0) {
          block.attentionNorm().weight()[3] *= flaw;
        }
        forward.run(block, BlockPrecision.FULL, x, x);
      }
    }
    float[] weight = floats(checkpoint, names.finalNorm().weight());
    float[] bias =
        checkpoint.find(names.finalNorm().bias()).isPresent()
            ? floats(checkpoint, names.finalNorm().bias())
            : new float[hidden];
    boolean centred = names.positions().isPresent();
    float[] head = config.tiedEmbeddings() ? embedding : floats(checkpoint, names.head().weight());
    float[] logits = new float[CONTEXT * config.vocabSize()];
    for (int t = 0; t < CONTEXT; t++) {
      double mean = 0;
      for (int c = 0; c < hidden; c++) {
        mean += centred ? x[t * hidden + c] / (double) hidden : 0;
      }
      double squares = 0;
      for (int c = 0; c < hidden; c++) {
        double d = x[t * hidden + c] - mean;
        squares += d * d / hidden;
      }
      double inverse = 1 / Math.sqrt(squares + config.normEpsilon());
      for (int v = 0; v < config.vocabSize(); v++) {
        double sum = 0;
        for (int c = 0; c < hidden; c++) {
          double n = (x[t * hidden + c] - mean) * inverse * weight[c] + bias[c];
          sum += n * head[v * hidden + c];
        }
        logits[t * config.vocabSize() + v] = (float) sum;
      }
    }
    return logits;
  }

  private static float[] floats(Checkpoint checkpoint, String name) {
    return checkpoint.find(name).orElseThrow().toFloats();
  }

  /** Weights in another format may be as large again. */
  @Test
  void copiesOnlyWhatAModelNeeds() throws IOException {
    Path source =
        FolderQuantizerTest.copy(FolderQuantizerTest.tiny("llama3"), folder.resolve("source"));
    Files.writeString(source.resolve("generation_config.json"), "{}");
    for (String foreign : List.of("pytorch_model.bin", "consolidated.00.pth", "README.md")) {
      Files.writeString(source.resolve(foreign), "foreign");
    }
    Path rotated = Files.createDirectory(folder.resolve("rotated"));
    try (Checkpoint checkpoint = Checkpoint.open(source)) {
      RotatedFolder.write(checkpoint, rotated, 7, 1);
    }
    try (Stream<Path> made = Files.list(rotated)) {
      assertEquals(
          Set.of("config.json", "generation_config.json", "model.safetensors"),
          made.map(file -> file.getFileName().toString()).collect(Collectors.toSet()));
    }
  }

  private static void assertOrthogonal(double[] q, int n) {
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        double sum = 0;
        for (int k = 0; k < n; k++) {
          sum += q[i * n + k] * q[j * n + k];
        }
        assertEquals(i == j ? 1 : 0, sum, 1e-9);
      }
    }
  }
}
