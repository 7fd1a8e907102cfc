package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.method.MethodCatalog;
import dev.nibble.quantizer.method.MethodCatalog.Options;
import dev.nibble.quantizer.tokenizer.TokenizerFiles;
import dev.nibble.runtime.CalibratedModel;
import dev.nibble.runtime.TestModels;
import dev.nibble.runtime.model.ModelOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.opentest4j.AssertionFailedError;

/** What methods write, codes and what is beside them, is executed as the calibrator computed it. */
class PackedMethodsTest {
  private static final double TOLERANCE = 1e-3;

  /** Deviations of what rounding does to the calibrator itself, where that is more. */
  private static final int DEVIATIONS = 4;

  @TempDir Path folder;

  /** On one window of half the context. */
  @ParameterizedTest
  @CsvSource({
    "nearest, W2A16g64",
    "omniquant, W3A16",
    "omniquant, W4A8Q8KV8",
    "rptq, W4A8g32",
    "rptq, W4A6g32",
    "rptq, W3A16",
    "owq, W3A16",
    "owq, W4A8g128",
    "spqr, W3A16g64",
    "llm.int8, W8A8sym"
  })
  void packedPerplexityIsTheCalibrators(String method, String scheme) throws IOException {
    Path source = TestModels.books8mInSingle(folder);
    CalibratedModel model = quantize(method, scheme, source, folder.resolve("packed"));
    compare(method + " " + scheme, model, source, "alice.txt", 512, 1);
  }

  /** What is written is another rounding of the same scheme. */
  @ParameterizedTest
  @CsvSource({"nearest, W3A16", "rptq, W4A8g32"})
  void otherWeightsAreNotTakenForTheCalibrators(String method, String scheme) throws IOException {
    Path source = TestModels.books8mInSingle(folder);
    CalibratedModel model = quantize(method, scheme, source, folder.resolve("watched"));
    CalibratedModel.quantize(
        MethodCatalog.create("gptq", Options.DEFAULT),
        source,
        folder.resolve("packed"),
        scheme,
        2,
        256);
    assertThrows(
        AssertionFailedError.class,
        () -> compare(method + " " + scheme, model, source, "alice.txt", 512, 1));
  }

  /** On the whole of a text, where edges weigh less. */
  @Tag("acceptance")
  @Tag("calibrated")
  @ParameterizedTest
  @CsvSource({
    "omniquant, W3A16",
    "omniquant, W4A8Q8KV8",
    "rptq, W4A8g32",
    "rptq, W4A6g32",
    "owq, W4A8g128",
    "llm.int8, W8A8sym"
  })
  void packedPerplexityOfATextIsTheCalibrators(String method, String scheme) throws IOException {
    Path source = TestModels.books8mInSingle(folder);
    CalibratedModel model = quantize(method, scheme, source, folder.resolve("packed"));
    compare(method + " " + scheme, model, source, "alice.txt", 1024, Integer.MAX_VALUE);
  }

  // An fp16 cache would be noise of 5e-4; a float32 checkpoint has a float32 cache.
  private static CalibratedModel quantize(
      String method, String scheme, Path source, Path destination) throws IOException {
    return new CalibratedModel(
            MethodCatalog.create(method, options(method, scheme)), block -> block)
        .quantize(source, destination, scheme, 2, 256);
  }

  private void compare(
      String what, CalibratedModel model, Path source, String name, int context, int most)
      throws IOException {
    Path packed = folder.resolve("packed");
    String text = Files.readString(TestModels.resource("text").resolve(name));
    int[] tokens = TokenizerFiles.open(source).encode(text, false);
    int[][] windows = new int[Math.min(most, tokens.length / context)][];
    Arrays.setAll(windows, w -> Arrays.copyOfRange(tokens, w * context, (w + 1) * context));
    double expected = model.perplexity(source, windows);
    double loss = 0;
    try (Engine engine = TestModels.cpu(packed, ModelOptions.DEFAULT)) {
      for (int[] window : windows) {
        loss += CalibratedModel.loss(TestModels.logits(engine, window), window);
      }
    }
    double found = Math.exp(loss / ((context - 1L) * windows.length));
    double off = Math.abs(found / expected - 1);
    if (off > TOLERANCE) {
      double deviation = model.roundingDeviation(source, windows);
      assertTrue(
          off <= DEVIATIONS * deviation,
          () ->
              "%s: packed %.4f, calibrated %.4f, off by %.3f %%, rounding by %.3f %%"
                  .formatted(what, found, expected, 100 * off, 100 * deviation));
    }
  }

  private static Options options(String method, String scheme) {
    if (method.equals("omniquant")) {
      return Options.DEFAULT.withEpochs(1);
    }
    return scheme.contains("A6") ? Options.DEFAULT.withNormBits(8) : Options.DEFAULT;
  }
}
