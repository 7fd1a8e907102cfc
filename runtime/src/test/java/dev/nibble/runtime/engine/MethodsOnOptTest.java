package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.method.MethodCatalog;
import dev.nibble.quantizer.method.MethodCatalog.Options;
import dev.nibble.runtime.CalibratedModel;
import dev.nibble.runtime.TestModels;
import dev.nibble.runtime.model.ModelOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every method on a model with biases, LayerNorm and learned positions: at eight bits what the
 * engine makes of its folder is all but the source's, so that no scale, shift, order or rotation
 * was lost between them.
 */
class MethodsOnOptTest {
  private static final long SEED = Long.getLong("tests.seed", 20_261_122L);
  private static final int CONTEXT = 48;

  /** Mean squared error over mean square; measured 1e-4 to 1e-3. */
  private static final double EIGHT_BITS = 2e-3;

  /** Random tokens leave the ranges that a few windows of text have shown. */
  private static final double STATIC_EIGHT_BITS = 5e-2;

  @TempDir Path folder;

  @ParameterizedTest
  @MethodSource("names")
  void eightBitsKeepTheLogits(String method) throws IOException {
    Path source = TestModels.quantizable("opt", folder);
    Path packed = folder.resolve("packed");
    String scheme =
        switch (method) {
          case "rptq" -> "W8A8g32";
          case "spqr" -> "W8A16g32";
          case "llm.int8" -> "W8A8sym";
          default -> "W8A8KV8";
        };
    Options options =
        switch (method) {
          case "omniquant", "adaround", "awq+adaround" -> Options.DEFAULT.withEpochs(2);
          case "omniquant+par" -> Options.DEFAULT.withEpochs(2).withParSteps(1);
          default -> Options.DEFAULT;
        };
    CalibratedModel.quantize(
        MethodCatalog.create(method, options), source, packed, scheme, 2, CONTEXT);
    float[] expected = logits(source);
    float[] found = logits(packed);
    double error = 0;
    double squares = 0;
    for (int i = 0; i < expected.length; i++) {
      error += Math.pow(found[i] - expected[i], 2);
      squares += (double) expected[i] * expected[i];
    }
    double relative = error / squares;
    double limit = method.equals("rptq") ? STATIC_EIGHT_BITS : EIGHT_BITS;
    assertTrue(relative < limit, method + ": " + relative + ", -Dtests.seed=" + SEED);
  }

  static List<String> names() {
    return MethodCatalog.names();
  }

  private static float[] logits(Path model) throws IOException {
    try (Engine engine = TestModels.cpu(model, ModelOptions.DEFAULT)) {
      return TestModels.logits(
          engine, new Random(SEED).ints(CONTEXT, 0, engine.vocabSize()).toArray());
    }
  }
}
