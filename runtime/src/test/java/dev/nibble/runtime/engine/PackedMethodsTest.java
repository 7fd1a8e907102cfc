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
    assertAlike(method + " " + scheme, model, source);
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
        AssertionFailedError.class, () -> assertAlike(method + " " + scheme, model, source));
  }

  /**
   * On the longest text there is, 200 windows: inputs on the edge of two codes, which fall to
   * either side, move a window of rptq W4A6g32 by 0.4 per cent, and the mean of so many by 0.03.
   */
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
    Compared found = compare(model, source, windows(source, "calibration.txt", 1024, 200));
    assertTrue(found.apart() <= TOLERANCE, method + " " + scheme + ": " + found);
  }

  // An fp16 cache would be noise of 5e-4; a float32 checkpoint has a float32 cache.
  private static CalibratedModel quantize(
      String method, String scheme, Path source, Path destination) throws IOException {
    return new CalibratedModel(
            MethodCatalog.create(method, options(method, scheme)), block -> block)
        .quantize(source, destination, scheme, 2, 256);
  }

  /** On one window of half the context; rounding may move it. */
  private void assertAlike(String what, CalibratedModel model, Path source) throws IOException {
    int[][] window = windows(source, "alice.txt", 512, 1);
    Compared found = compare(model, source, window);
    if (found.apart() > TOLERANCE) {
      double deviation = model.roundingDeviation(source, window);
      assertTrue(
          found.apart() <= DEVIATIONS * deviation,
          () -> "%s: %s, rounding %.3f %%".formatted(what, found, 100 * deviation));
    }
  }

  /** The first windows of a text. */
  private static int[][] windows(Path source, String name, int context, int most)
      throws IOException {
    String text = Files.readString(TestModels.resource("text").resolve(name));
    int[] tokens = TokenizerFiles.open(source).encode(text, false);
    int[][] windows = new int[Math.min(most, tokens.length / context)][];
    Arrays.setAll(windows, w -> Arrays.copyOfRange(tokens, w * context, (w + 1) * context));
    return windows;
  }

  /** Perplexities of the same windows. */
  private record Compared(double calibrated, double packed) {
    double apart() {
      return Math.abs(packed / calibrated - 1);
    }
  }

  private Compared compare(CalibratedModel model, Path source, int[][] windows) throws IOException {
    double loss = 0;
    try (Engine engine = TestModels.cpu(folder.resolve("packed"), ModelOptions.DEFAULT)) {
      for (int[] window : windows) {
        loss += CalibratedModel.loss(TestModels.logits(engine, window), window);
      }
    }
    long scored = (windows[0].length - 1L) * windows.length;
    return new Compared(model.perplexity(source, windows), Math.exp(loss / scored));
  }

  private static Options options(String method, String scheme) {
    if (method.equals("omniquant")) {
      return Options.DEFAULT.withEpochs(1);
    }
    return scheme.contains("A6") ? Options.DEFAULT.withNormBits(8) : Options.DEFAULT;
  }
}
