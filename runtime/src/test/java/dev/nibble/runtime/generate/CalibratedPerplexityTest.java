package dev.nibble.runtime.generate;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.nibble.quantizer.method.MethodCatalog;
import dev.nibble.quantizer.method.MethodCatalog.Options;
import dev.nibble.runtime.MadeModels;
import dev.nibble.runtime.MadeModels.Made;
import dev.nibble.runtime.MadeModels.Size;
import dev.nibble.runtime.TestModels;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestReporter;
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
  private static final double TOLERANCE = 1.02;
  private static final int PAR_MINUTES = 45;

  @TempDir static Path folder;

  private TestReporter reporter;

  @BeforeEach
  void report(TestReporter to) {
    reporter = to;
  }

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
    double rounded = perplexity("omniquant+par", scheme, PAR_MINUTES);
    double clipped = perplexity("omniquant", scheme, PAR_MINUTES);
    assertTrue(rounded < clipped, rounded + ", OmniQuant has " + clipped);
  }

  /** Quantizes, within so many minutes of two cores, and measures. */
  private double perplexity(String method, String scheme, int minutes) throws IOException {
    Path text = TestModels.fixture("text/time-machine.txt");
    Made made =
        new MadeModels(folder)
            .make(
                method,
                MethodCatalog.create(method, Options.DEFAULT),
                scheme,
                new Size(128, 1024, 0, text, 1024, Integer.MAX_VALUE));
    reporter.publishEntry(made.toString());
    assertTrue(made.coreSeconds() <= MadeModels.CORES * 60.0 * minutes, made.toString());
    return made.perplexity();
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
