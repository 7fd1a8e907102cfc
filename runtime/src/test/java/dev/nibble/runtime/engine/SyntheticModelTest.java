package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.SyntheticModel;
import dev.nibble.runtime.TestModels;
import dev.nibble.runtime.model.ModelOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The whole packed format at once: columns and RoPE pairs in random order, outlier columns, single
 * outliers, static clusters, biases, a packed head.
 */
class SyntheticModelTest {
  private static final long SEED = Long.getLong("tests.seed", 20_261_122L);
  private static final int TOKENS = 23;

  /** Float against double over two blocks. */
  private static final double FLOAT_ERROR = 1e-8;

  /** A few codes of inputs on a rounding edge fall the other way. */
  private static final double CODE_ERROR = 2e-4;

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"W4A16g32H8", "W3A16g64H8", "W2A16g128symH8", "W6A16H8", "W8A16g32symH8"})
  void packedEqualsItsDenseEquivalent(String scheme) throws IOException {
    SyntheticModel model = new SyntheticModel(QuantScheme.parse(scheme), SEED);
    double[][] expected = model.logits(tokens());
    model.writePacked(Files.createDirectory(folder.resolve("packed")));
    model.writeDense(Files.createDirectory(folder.resolve("dense")));
    assertNear(expected, logits("packed"), FLOAT_ERROR, "packed " + scheme);
    assertNear(expected, logits("dense"), FLOAT_ERROR, "dense " + scheme);
  }

  /** g32 has static clusters on q, k, v, gate and up; the others quantize each token. */
  @ParameterizedTest
  @ValueSource(strings = {"W4A8g32H8", "W8A8g32symH8", "W3A6g32H8", "W4A8g128H8", "W6A6H8"})
  void integersEqualWhatTheyStandFor(String scheme) throws IOException {
    SyntheticModel model = new SyntheticModel(QuantScheme.parse(scheme), SEED);
    double[][] expected = model.logits(tokens());
    model.writePacked(Files.createDirectory(folder.resolve("packed")));
    assertNear(expected, logits("packed"), CODE_ERROR, scheme);
  }

  /** Cluster bits of their own, and inputs found loud at run time; both of which must matter. */
  @ParameterizedTest
  @ValueSource(strings = {"W3A6g32H8", "W4A4g32H8", "W8A8symH8", "W4A6g128H8"})
  void mixedInputsEqualWhatTheyStandFor(String scheme) throws IOException {
    SyntheticModel model = SyntheticModel.ofMixedInputs(QuantScheme.parse(scheme), SEED);
    double[][] expected = model.logits(tokens());
    model.writePacked(Files.createDirectory(folder.resolve("packed")));
    assertNear(expected, logits("packed"), CODE_ERROR, scheme);
    model.writePacked(
        Files.createDirectory(folder.resolve("quiet")),
        (tensor, bytes) -> {
          if (tensor.endsWith("outlier_threshold")) {
            bytes.putFloat(0, Float.MAX_VALUE);
          }
        });
    assertThrows(
        AssertionError.class, () -> assertNear(expected, logits("quiet"), CODE_ERROR, scheme));
  }

  private static int[] tokens() {
    return new Random(SEED).ints(TOKENS, 0, 97).toArray();
  }

  private float[] logits(String name) throws IOException {
    try (Engine engine = TestModels.cpu(folder.resolve(name), ModelOptions.DEFAULT)) {
      return TestModels.logits(engine, tokens());
    }
  }

  private static void assertNear(double[][] expected, float[] found, double limit, String what) {
    double error = 0;
    double squares = 0;
    for (int t = 0; t < expected.length; t++) {
      for (int n = 0; n < expected[t].length; n++) {
        double difference = found[t * expected[t].length + n] - expected[t][n];
        error += difference * difference;
        squares += expected[t][n] * expected[t][n];
      }
    }
    double relative = error / squares;
    assertTrue(relative <= limit, () -> what + ": error " + relative + ", -Dtests.seed=" + SEED);
  }
}
