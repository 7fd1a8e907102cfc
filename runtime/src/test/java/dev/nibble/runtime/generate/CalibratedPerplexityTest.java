package dev.nibble.runtime.generate;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.method.CalibratedQuantizer;
import dev.nibble.quantizer.method.CalibratedQuantizer.Calibration;
import dev.nibble.quantizer.method.CalibratedQuantizer.Interrupted;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import dev.nibble.quantizer.method.FolderQuantizer.Request;
import dev.nibble.quantizer.method.MethodCatalog;
import dev.nibble.quantizer.method.MethodCatalog.Options;
import dev.nibble.runtime.CalibratedModel;
import dev.nibble.runtime.TestModels;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The default model at full size, 128 windows of 1024 tokens, packed and executed, beside an
 * independent implementation and within its time on 2 cores. Minutes to an hour each.
 */
@Tag("acceptance")
@Tag("calibrated")
class CalibratedPerplexityTest {
  private static final int THREADS = 2;
  private static final double TOLERANCE = 1.02;
  private static final int PAR_MINUTES = 45;

  @TempDir Path folder;

  @ParameterizedTest
  @CsvSource({
    "gptq, W3A16, 'GPTQ W3A16', 1",
    "gptq, W3A16g128, 'GPTQ W3A16g128', 1",
    "omniquant, W3A16, 'OmniQuant LWC W3A16, 10 epochs', 20",
    "omniquant, W2A16g64, 'OmniQuant LWC, aug loss, W2A16g64, 10 epochs', 20",
    "omniquant, W4A4Q4KV4, 'OmniQuant LET+LWC, aug loss, W4A4Q4KV4, 10 epochs', 35"
  })
  void reachesTheReference(String method, String scheme, String config, int minutes)
      throws IOException {
    double reference = reference(config);
    double found = perplexity(method, scheme, minutes);
    assertTrue(found <= TOLERANCE * reference, found + ", the reference has " + reference);
  }

  @ParameterizedTest
  @CsvSource({"W3A16", "W2A16g64"})
  void progressiveRoundingIsBelowOmniQuant(String scheme) throws IOException {
    double clipped = perplexity("omniquant", scheme, PAR_MINUTES);
    double rounded = perplexity("omniquant+par", scheme, PAR_MINUTES);
    assertTrue(rounded < clipped, rounded + ", OmniQuant has " + clipped);
  }

  /** Quantizes, within so many minutes of two cores, and measures. */
  private double perplexity(String method, String scheme, int minutes) throws IOException {
    Path packed = folder.resolve(method + scheme);
    double before = CalibratedModel.coreSeconds();
    BlockMethod made = MethodCatalog.create(method, Options.DEFAULT);
    CalibratedQuantizer.quantize(
        new Request(
            TestModels.books8m(), packed, QuantScheme.parse(scheme), Existing.KEEP, THREADS),
        made,
        new Calibration(
            TestModels.fixture("text/calibration.txt"), 128, 1024, 0, Interrupted.DISCARD),
        CalibratedModel.SILENT);
    double seconds = CalibratedModel.coreSeconds() - before;
    assertTrue(
        seconds <= THREADS * 60.0 * minutes,
        "%s %s: %.0f seconds of a core".formatted(method, scheme, seconds));
    try (Model model = Model.load(packed, Device.cpu(), ModelOptions.DEFAULT)) {
      String text = Files.readString(TestModels.fixture("text/time-machine.txt"));
      return Perplexity.measure(model, text, 1024, Integer.MAX_VALUE, (done, total, value) -> {})
          .perplexity();
    }
  }

  private static double reference(String config) throws IOException {
    for (JsonNode row :
        TestModels.json(TestModels.fixture("golden/quantization-reference.json")).get("trained")) {
      if (row.get("config").asText().equals(config)) {
        return row.get("time-machine.txt").asDouble();
      }
    }
    throw new AssertionError("no reference for " + config);
  }
}
