package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;

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
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What methods write beside codes is executed as the calibrator computed it. */
class PackedMethodsTest {
  private static final int CONTEXT = 512;

  private static final double WEIGHTS_ALONE = 1e-3;

  /**
   * The two forward passes add in different orders, and inputs on the edge of two codes fall to
   * either side. How much that is shows where the calibrator's own embeddings are multiplied by 1 +
   * 1e-6 N(0, 1): on these 511 losses its perplexity then moved by -0.14 to +0.20 per cent (rptq,
   * six draws), -0.05 to +0.26 (owq), -0.24 to -0.01 (llm.int8), and by nothing where weights alone
   * are rounded. An fp16 cache is noise of 5e-4, and with noise of 1e-4 alone it was -0.65 to +0.26
   * (rptq); so the model is a float32 copy, which has a float32 cache.
   */
  private static final double ROUNDING_EDGES = 6e-3;

  /** With inputs in 6 bits such numbers are many: 3 per cent either way on these tokens. */
  private static final double EDGES_OF_SIX_BITS = 5e-2;

  @TempDir Path folder;

  @ParameterizedTest
  @CsvSource({
    "rptq, W4A8g32,",
    "rptq, W4A6g32, 8",
    "rptq, W3A16,",
    "owq, W3A16,",
    "owq, W4A8g128,",
    "spqr, W3A16g64,",
    "llm.int8, W8A8sym,"
  })
  void packedPerplexityIsTheCalibrators(String method, String scheme, @Nullable Integer normBits)
      throws IOException {
    Options options = normBits == null ? Options.DEFAULT : Options.DEFAULT.withNormBits(normBits);
    Path source = TestModels.books8mInSingle(folder);
    Path packed = folder.resolve("packed");
    CalibratedModel model =
        new CalibratedModel(MethodCatalog.create(method, options), block -> block)
            .quantize(source, packed, scheme, 2, 256);
    String text = Files.readString(TestModels.resource("text/alice.txt"));
    int[] window = Arrays.copyOf(TokenizerFiles.open(source).encode(text, false), CONTEXT);
    double expected = model.perplexity(source, new int[][] {window});
    double found;
    try (Engine engine = TestModels.cpu(packed, ModelOptions.DEFAULT)) {
      found = perplexity(TestModels.logits(engine, window), window, engine.vocabSize());
    }
    double limit =
        scheme.contains("A16")
            ? WEIGHTS_ALONE
            : scheme.contains("A6") ? EDGES_OF_SIX_BITS : ROUNDING_EDGES;
    assertEquals(expected, found, limit * expected, method + " " + scheme);
  }

  private static double perplexity(float[] logits, int[] window, int vocab) {
    double loss = 0;
    for (int t = 0; t + 1 < window.length; t++) {
      double total = 0;
      for (int i = 0; i < vocab; i++) {
        total += Math.exp(logits[t * vocab + i]);
      }
      loss += Math.log(total) - logits[t * vocab + window[t + 1]];
    }
    return Math.exp(loss / (window.length - 1));
  }
}
