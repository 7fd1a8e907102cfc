package dev.nibble.runtime.generate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.fasterxml.jackson.databind.JsonNode;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.method.FolderQuantizer;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import dev.nibble.quantizer.method.FolderQuantizer.Listener;
import dev.nibble.quantizer.method.FolderQuantizer.Request;
import dev.nibble.runtime.TestModels;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Perplexities of books-8m, packed by the project's own quantizer, against another's. */
class PerplexityTest {
  private static final int CONTEXT = 1024;
  private static final int FIRST_WINDOWS = 8;
  private static final Path GOLDEN_IN_TREE =
      TestModels.resource("golden/quantization-reference.json");
  private static final String ALICE = "alice.txt";
  private static final String TIME_MACHINE = "time-machine.txt";

  /**
   * Four-bit inputs and cache make eight windows a lottery: noise of 1e-6 in the embeddings moves
   * W4A4KV4 on alice.txt between 39.3 and 40.5 here, and between 39.0 and 40.2 in a float32 NumPy
   * program that shares no line with this one, while the reference drew 38.82. On the whole text
   * the draws average out. So those rows are held to the reference on whole texts, and only kept
   * from straying on eight windows.
   */
  private static final double FEW_WINDOWS_OF_4_BIT_INPUTS_AND_CACHE = 0.05;

  /**
   * As above, with a smaller stake: the NumPy program draws 32.93 to 33.16 for W4A6 on
   * time-machine.txt, the reference drew 32.97.
   */
  private static final double FEW_WINDOWS_OF_6_BIT_INPUTS = 0.01;

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"W16A16", "W4A16g128", "W3A16g128sym"})
  void firstWindowsOfAlice(String scheme) throws IOException {
    try (Model model = load(scheme)) {
      String text = Files.readString(TestModels.resource("text/" + ALICE));
      Perplexity found =
          Perplexity.measure(model, text, CONTEXT, FIRST_WINDOWS, (done, total, value) -> {});
      assertEquals(FIRST_WINDOWS * (CONTEXT - 1L), found.tokensScored());
      assertFirstWindowsClose(row(GOLDEN_IN_TREE, scheme), ALICE, found.perplexity());
    }
  }

  @Test
  void fourBitInputsAndCacheOnAllOfAlice() throws IOException {
    String scheme = "W4A4KV4";
    try (Model model = load(scheme)) {
      String text = Files.readString(TestModels.resource("text/" + ALICE));
      measureWhole(model, row(GOLDEN_IN_TREE, scheme), ALICE, text);
    }
  }

  static Stream<String> allSchemes() throws IOException {
    String fixtures = System.getProperty("fixtures", "");
    return fixtures.isEmpty()
        ? Stream.of("W16A16")
        : rows(TestModels.json(TestModels.fixture("golden/quantization-reference.json")))
            .map(row -> row.get("scheme").asText());
  }

  @Tag("acceptance")
  @ParameterizedTest
  @MethodSource("allSchemes")
  void bothTextsWhole(String scheme) throws IOException {
    JsonNode row = row(TestModels.fixture("golden/quantization-reference.json"), scheme);
    try (Model model = load(scheme)) {
      for (String name : new String[] {ALICE, TIME_MACHINE}) {
        measureWhole(model, row, name, Files.readString(TestModels.fixture("text/" + name)));
      }
    }
  }

  private static void measureWhole(Model model, JsonNode row, String name, String text) {
    double[] first = new double[1];
    Perplexity whole =
        Perplexity.measure(
            model,
            text,
            CONTEXT,
            Integer.MAX_VALUE,
            (done, total, value) -> first[0] = done == FIRST_WINDOWS ? value : first[0]);
    assertFirstWindowsClose(row, name, first[0]);
    assertClose(row, name, whole.perplexity(), tolerance(scheme(row)));
  }

  @Test
  void refusesATextShorterThanAWindow() throws IOException {
    try (Model model = load("W16A16")) {
      assertThrows(
          IllegalArgumentException.class,
          () -> Perplexity.measure(model, "short", CONTEXT, 1, (done, total, value) -> {}));
    }
  }

  private Model load(String scheme) throws IOException {
    Path source = TestModels.books8m();
    ModelOptions options = ModelOptions.DEFAULT.withContextLength(CONTEXT);
    if (scheme.equals("W16A16")) {
      return Model.load(source, Device.cpu(), options);
    }
    Path packed = folder.resolve(scheme);
    FolderQuantizer.quantize(
        new Request(source, packed, QuantScheme.parse(scheme), Existing.KEEP, 2), Listener.SILENT);
    return Model.load(packed, Device.cpu(), options);
  }

  private static void assertFirstWindowsClose(JsonNode row, String name, double found) {
    QuantScheme scheme = scheme(row);
    double tolerance = tolerance(scheme);
    if (scheme.activationBits() == 4 && scheme.kvBits() == 4) {
      tolerance = FEW_WINDOWS_OF_4_BIT_INPUTS_AND_CACHE;
    } else if (scheme.activationBits() == 6) {
      tolerance = FEW_WINDOWS_OF_6_BIT_INPUTS;
    }
    assertClose(row, name + " first 8 windows", found, tolerance);
  }

  private static void assertClose(JsonNode row, String text, double found, double tolerance) {
    double expected = row.get(text).asDouble();
    assertEquals(
        expected,
        found,
        expected * tolerance,
        () ->
            "%s on %s: %.4f, off by %.3f %%"
                .formatted(scheme(row), text, found, 100 * (found / expected - 1)));
  }

  /** What activations that sit on a rounding edge may change, falling either way. */
  private static double tolerance(QuantScheme scheme) {
    if (scheme.equals(QuantScheme.W16A16)) {
      return 0.0005;
    }
    if (scheme.activationBits() == 4 || scheme.kvBits() <= 4) {
      return 0.015;
    }
    if (scheme.activationBits() < 16 || scheme.kvBits() < 16) {
      return 0.003;
    }
    return scheme.weightBits() == 2 ? 0.01 : 0.002;
  }

  private static QuantScheme scheme(JsonNode row) {
    return QuantScheme.parse(row.get("scheme").asText());
  }

  private static JsonNode row(Path golden, String scheme) throws IOException {
    return rows(TestModels.json(golden))
        .filter(row -> row.get("scheme").asText().equals(scheme))
        .findFirst()
        .orElseThrow();
  }

  private static Stream<JsonNode> rows(JsonNode golden) {
    return StreamSupport.stream(golden.get("rtn").spliterator(), false);
  }
}
