package dev.nibble.runtime.generate;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.method.MethodCatalog;
import dev.nibble.quantizer.method.MethodCatalog.Options;
import dev.nibble.runtime.MadeModels;
import dev.nibble.runtime.MadeModels.Made;
import dev.nibble.runtime.MadeModels.Size;
import dev.nibble.runtime.TestModels;
import java.io.IOException;
import java.nio.file.Path;
import java.util.DoubleSummaryStatistics;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestReporter;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Which method is better than which on the default model, by the perplexity of what is packed and
 * executed, after 32 windows of 256 tokens and 10 epochs; each run within three minutes of two
 * cores. A run that several orderings need is done once.
 */
@Tag("acceptance")
@Tag("calibrated")
class MethodOrderAcceptanceTest {
  private static final double CORE_SECONDS = MadeModels.CORES * 180;
  private static final Options NONE = Options.DEFAULT;
  private static final Options TEN = Options.DEFAULT.withEpochs(10);

  /** Of progressive rounding, which would take longer. */
  private static final Options FEW_STEPS = TEN.withParSteps(4);

  @TempDir static Path folder;

  private TestReporter reporter;

  @BeforeEach
  void report(TestReporter to) {
    reporter = to;
  }

  @Test
  void fewerBitsAreWorse() throws IOException {
    ascending(List.of("W16A16", "W8A16", "W6A16", "W4A16", "W3A16", "W2A16"));
    ascending(List.of("W4A16g64", "W4A16g128", "W4A16"));
    ascending(List.of("W3A16g64", "W3A16g128", "W3A16"));
    ascending(List.of("W2A16g64", "W2A16g128", "W2A16"));
  }

  /** Nearest, then feedback of errors, then learned clipping, then learned rounding. */
  @ParameterizedTest
  @CsvSource({
    "W3A16, 0",
    "W3A16, 1",
    "W3A16, 2",
    "W2A16, 0",
    "W2A16, 1",
    "W2A16, 2",
    "W2A16g64, 0",
    "W2A16g64, 1",
    "W2A16g64, 2",
  })
  void whatLearnsMoreIsBetter(String scheme, long seed) throws IOException {
    Made nearest = run("nearest", scheme, NONE, 0);
    Made gptq = run("gptq", scheme, NONE, 0);
    Made clipped = run("omniquant", scheme, TEN, seed);
    assertBelow(gptq, nearest);
    assertBelow(clipped, gptq);
    assertBelow(run("omniquant+par", scheme, FEW_STEPS, seed), clipped);
    assertBelow(run("adaround", scheme, TEN, seed), gptq);
  }

  /** What a seed moves is less than what a method gains. */
  @ParameterizedTest
  @ValueSource(strings = {"W3A16", "W2A16", "W2A16g64"})
  void seedsMatterLessThanMethods(String scheme) throws IOException {
    double worse = run("gptq", scheme, NONE, 0).perplexity();
    for (String method : List.of("omniquant", "omniquant+par")) {
      double least = Double.POSITIVE_INFINITY;
      double most = 0;
      for (int seed = 0; seed < 3; seed++) {
        Options options = method.equals("omniquant") ? TEN : FEW_STEPS;
        double found = run(method, scheme, options, seed).perplexity();
        least = Math.min(least, found);
        most = Math.max(most, found);
      }
      assertTrue(
          most - least < worse - most,
          "%s %s: %f to %f, before %f".formatted(method, scheme, least, most, worse));
      worse = least;
    }
  }

  /** Each is better than what went before it, or no worse within 2 per cent. */
  @ParameterizedTest
  @CsvSource({
    "W3A16, 0",
    "W3A16, 1",
    "W3A16, 2",
    "W2A16g64, 0",
    "W2A16g64, 1",
    "W2A16g64, 2",
  })
  void moreEpochsAreNoWorse(String scheme, long seed) throws IOException {
    Made before = run("omniquant", scheme, Options.DEFAULT.withEpochs(0), 0);
    for (int epochs : new int[] {5, 10, 20}) {
      Made next = run("omniquant", scheme, Options.DEFAULT.withEpochs(epochs), seed);
      assertTrue(next.perplexity() < 1.02 * before.perplexity(), next + " against " + before);
      before = next;
    }
  }

  /** The inputs that quantized blocks leave are the ones to calibrate on. */
  @ParameterizedTest
  @CsvSource({
    "gptq, W3A16, 0",
    "gptq, W2A16g64, 0",
    "omniquant, W2A16g64, 0",
    "omniquant, W2A16g64, 1",
    "omniquant, W2A16g64, 2",
  })
  void quantizedInputsAreBetterThanFullOnes(String method, String scheme, long seed)
      throws IOException {
    Made full = onFullInputs(method, scheme, seed);
    Made found = run(method, scheme, options(method), seed);
    assertTrue(found.perplexity() <= full.perplexity(), found + " against " + full);
  }

  /** To ranges trained at 3 bits both are the same: means differ by less than seeds do. */
  @Test
  void inputsAreAllTheSameToRangesOfThreeBits() throws IOException {
    DoubleSummaryStatistics quantized = new DoubleSummaryStatistics();
    DoubleSummaryStatistics full = new DoubleSummaryStatistics();
    for (int seed = 0; seed < 3; seed++) {
      full.accept(onFullInputs("omniquant", "W3A16", seed).perplexity());
      quantized.accept(run("omniquant", "W3A16", TEN, seed).perplexity());
    }
    assertTrue(
        Math.abs(quantized.getAverage() - full.getAverage())
            < quantized.getMax() - quantized.getMin(),
        quantized + " against " + full);
  }

  private Made onFullInputs(String method, String scheme, long seed) throws IOException {
    BlockMethod onFullInputs = new OnFullInputs(MethodCatalog.create(method, options(method)));
    return run(method + " on full inputs", onFullInputs, scheme, seed);
  }

  private static Options options(String method) {
    return method.equals("omniquant") ? TEN : NONE;
  }

  /** Where rounding leaves much to make up for; at 3 bits of weights alone eight blocks are few. */
  @ParameterizedTest
  @CsvSource({"W2A16g64, 1", "W4A4KV4, 1", "W3A16, 1.01"})
  void gptaqIsNoWorseThanGptq(String scheme, double share) throws IOException {
    Made gptaq = run("gptaq", scheme, NONE, 0);
    Made gptq = run("gptq", scheme, NONE, 0);
    assertTrue(gptaq.perplexity() <= share * gptq.perplexity(), gptaq + " against " + gptq);
  }

  @Test
  void gptaqIsBelowNearestAndRotationHelpsIt() throws IOException {
    Made gptaq = run("gptaq", "W4A4KV4", NONE, 0);
    assertBelow(gptaq, run("nearest", "W4A4KV4", NONE, 0));
    for (int seed = 0; seed < 3; seed++) {
      assertBelow(run("gptaq+rotate", "W4A4KV4", NONE, seed), gptaq);
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {0, 1, 2})
  void clustersAreBetterThanOneAndEightBitsThanFour(long seed) throws IOException {
    Made one = run("rptq", "W4A4g32", NONE.withClusters(1), seed);
    Made four = run("rptq", "W4A4g32", NONE.withClusters(4), seed);
    Made all = run("rptq", "W4A4g32", NONE, seed);
    assertBelow(four, one);
    assertTrue(all.perplexity() < 1.02 * four.perplexity(), all + " against " + four);
    assertBelow(run("rptq", "W4A4g32", NONE.withNormBits(8), seed), all);
  }

  /** A cache of fewer bits is worse, and so are weights of fewer. */
  @ParameterizedTest
  @ValueSource(longs = {0, 1, 2})
  void fewerBitsOfTheCacheAreWorse(long seed) throws IOException {
    Made before = run("rptq", "W4A16", NONE, seed);
    for (String scheme : List.of("W4A16KV4", "W4A16KV3", "W3A16KV3")) {
      Made next = run("rptq", scheme, NONE, seed);
      assertBelow(before, next);
      before = next;
    }
  }

  private void ascending(List<String> schemes) throws IOException {
    for (int i = 1; i < schemes.size(); i++) {
      assertBelow(
          run("nearest", schemes.get(i - 1), NONE, 0), run("nearest", schemes.get(i), NONE, 0));
    }
  }

  private static void assertBelow(Made better, Made worse) {
    assertTrue(better.perplexity() < worse.perplexity(), better + " against " + worse);
  }

  private Made run(String method, String scheme, Options options, long seed) throws IOException {
    return run(method + " " + options, MethodCatalog.create(method, options), scheme, seed);
  }

  private Made run(String name, BlockMethod method, String scheme, long seed) throws IOException {
    Size size = new Size(32, 256, seed, TestModels.resource("text/alice.txt"), 512, 16);
    Made made = new MadeModels(folder).make(name, method, scheme, size);
    reporter.publishEntry(made.toString());
    assertTrue(made.coreSeconds() < CORE_SECONDS, made.toString());
    return made;
  }

  /** A method that sees the full-precision model's inputs in the place of the quantized one's. */
  private record OnFullInputs(BlockMethod method) implements BlockMethod {
    @Override
    public String name() {
      return method.name();
    }

    @Override
    public Map<String, String> settings() {
      return method.settings();
    }

    @Override
    public void check(ModelConfig config, QuantScheme scheme) {
      method.check(config, scheme);
    }

    @Override
    public QuantizedBlock quantize(BlockTask task) throws IOException {
      QuantizedBlock made =
          method.quantize(
              new BlockTask(
                  task.block(),
                  task.scheme(),
                  task.fullInputs(),
                  task.fullInputs(),
                  task.targets(),
                  task.forward(),
                  task.seed(),
                  task.progress()));
      return made.withOutputs(
          task.forward().run(made.effective(), made.precision(), task.quantizedInputs()));
    }
  }
}
