package dev.nibble.runtime.generate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.nibble.quantizer.calibration.BlockCalibration;
import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.calibration.CalibrationWindows;
import dev.nibble.quantizer.calibration.HiddenStates;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.method.CalibratedQuantizer;
import dev.nibble.quantizer.method.CalibratedQuantizer.Calibration;
import dev.nibble.quantizer.method.CalibratedQuantizer.Interrupted;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import dev.nibble.quantizer.method.FolderQuantizer.LinearError;
import dev.nibble.quantizer.method.FolderQuantizer.Request;
import dev.nibble.quantizer.method.MethodCatalog;
import dev.nibble.quantizer.tokenizer.TokenizerFiles;
import dev.nibble.runtime.TestModels;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What calibrating methods promise, measured on the packed folders they write. */
class CalibratedPerplexityTest {
  @TempDir Path folder;

  /**
   * The engine, from packed bytes, must find what the calibration computed with. With 8-bit inputs
   * 381 losses cannot show it to 0.1 per cent: where the calibrator's own embeddings are multiplied
   * by 1 + 1e-6 N(0, 1), its perplexity moves by -0.60 to +0.19 per cent (six draws, W4A8Q8KV8 by
   * rounding to nearest), and by less than 0.001 where weights alone are rounded.
   */
  @ParameterizedTest
  @CsvSource({
    "omniquant, W3A16, 1, 1e-3",
    "nearest, W2A16g64, 0, 1e-3",
    "omniquant, W4A8Q8KV8, 1, 5e-3"
  })
  void packedEqualsTheCalibrators(String method, String scheme, int epochs, double limit)
      throws IOException {
    int samples = 3;
    int context = 128;
    MethodCatalog.Options options =
        epochs == 0
            ? MethodCatalog.Options.DEFAULT
            : MethodCatalog.Options.DEFAULT.withEpochs(epochs);
    Path text = TestModels.resource("text/calibration.txt");
    double expected;
    try (Checkpoint source = Checkpoint.open(TestModels.books8m())) {
      CalibrationWindows windows =
          CalibrationWindows.read(
              text, TokenizerFiles.open(TestModels.books8m()), samples, context);
      Last last = new Last();
      new BlockCalibration(
              source, QuantScheme.parse(scheme), windows, MethodCatalog.create(method, options), 1)
          .run(2, last, (block, done, total, loss) -> {});
      expected = perplexity(source, windows, last.states);
    }
    Path packed = folder.resolve("packed");
    quantize(
        packed,
        scheme,
        MethodCatalog.create(method, options),
        new Calibration(text, samples, context, 1, Interrupted.DISCARD));
    try (Model model = load(packed)) {
      double found =
          Perplexity.measure(
                  model, Files.readString(text), context, samples, (done, total, value) -> {})
              .perplexity();
      assertEquals(expected, found, limit * expected);
    }
  }

  /** Full size: minutes each. */
  @Tag("acceptance")
  @ParameterizedTest
  @CsvSource({
    "'OmniQuant LWC W3A16, 10 epochs', W3A16",
    "'OmniQuant LWC, aug loss, W2A16g64, 10 epochs', W2A16g64",
    "'OmniQuant LET+LWC, aug loss, W4A4Q4KV4, 10 epochs', W4A4Q4KV4",
  })
  void omniQuantReachesTheReference(String config, String scheme) throws IOException {
    Path packed = folder.resolve("packed");
    quantize(
        packed,
        scheme,
        MethodCatalog.create("omniquant", MethodCatalog.Options.DEFAULT.withEpochs(10)),
        new Calibration(
            TestModels.fixture("text/calibration.txt"), 128, 1024, 0, Interrupted.DISCARD));
    double reference = Double.NaN;
    for (JsonNode row :
        TestModels.json(TestModels.fixture("golden/quantization-reference.json")).get("trained")) {
      if (row.get("config").asText().equals(config)) {
        reference = row.get("time-machine.txt").asDouble();
      }
    }
    try (Model model = load(packed)) {
      double found =
          Perplexity.measure(
                  model,
                  Files.readString(TestModels.fixture("text/time-machine.txt")),
                  1024,
                  Integer.MAX_VALUE,
                  (done, total, value) -> {})
              .perplexity();
      assertTrue(found <= 1.02 * reference, found + ", the reference has " + reference);
    }
  }

  /** Keeps what the last block left. */
  private static final class Last implements BlockCalibration.Journal {
    private HiddenStates states = new HiddenStates(new float[0][]);

    @Override
    public Optional<BlockCalibration.State> resume() {
      return Optional.empty();
    }

    @Override
    public void blockDone(
        QuantizedBlock block, TransformerBlock source, double loss, BlockCalibration.State after) {
      states = after.quantized();
    }
  }

  /** Final norm and tied head in double. */
  private static double perplexity(
      Checkpoint source, CalibrationWindows windows, HiddenStates states) throws IOException {
    int hidden = source.config().hiddenSize();
    float[] norm = source.find("model.norm.weight").orElseThrow().toFloats();
    float[] head = source.find("model.embed_tokens.weight").orElseThrow().toFloats();
    double sum = 0;
    int count = 0;
    for (int w = 0; w < states.windows(); w++) {
      for (int t = 0; t + 1 < windows.context(); t++) {
        double[] x = new double[hidden];
        double squares = 0;
        for (int i = 0; i < hidden; i++) {
          x[i] = states.window(w)[t * hidden + i];
          squares += x[i] * x[i] / hidden;
        }
        for (int i = 0; i < hidden; i++) {
          x[i] *= norm[i] / Math.sqrt(squares + source.config().normEpsilon());
        }
        sum += loss(x, head, windows.windows().get(w)[t + 1]);
        count++;
      }
    }
    return Math.exp(sum / count);
  }

  private static double loss(double[] x, float[] head, int target) {
    double total = 0;
    double wanted = 0;
    for (int id = 0; id < head.length / x.length; id++) {
      double logit = 0;
      for (int i = 0; i < x.length; i++) {
        logit += x[i] * head[id * x.length + i];
      }
      total += Math.exp(logit);
      wanted = id == target ? logit : wanted;
    }
    return Math.log(total) - wanted;
  }

  private static Model load(Path packed) throws IOException {
    return Model.load(packed, Device.cpu(), ModelOptions.DEFAULT);
  }

  private static void quantize(
      Path packed, String scheme, BlockMethod method, Calibration calibration) throws IOException {
    CalibratedQuantizer.quantize(
        new Request(TestModels.books8m(), packed, QuantScheme.parse(scheme), Existing.KEEP, 2),
        method,
        calibration,
        new CalibratedQuantizer.Listener() {
          @Override
          public void step(int block, int blocks, long done, long total, double loss) {}

          @Override
          public void blockDone(int block, int blocks, double loss) {}

          @Override
          public void progress(String tensor, long doneBytes, long totalBytes) {}

          @Override
          public void quantized(LinearError linear) {}
        });
  }
}
