package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AdaptiveRoundingTest {
  private static final String HINT = Draws.seed();
  private static final List<BlockTransformation> NONE = List.of();

  private static final WorkerThreads workers = new WorkerThreads(2);

  @AfterAll
  static void close() {
    workers.close();
  }

  /** As its parameters are made: every weight at its nearest code. */
  @ParameterizedTest
  @CsvSource({"3, 0, false", "4, 32, true", "2, 64, false"})
  void hardAtOnceItRoundsToNearest(int bits, int group, boolean symmetric) {
    PackedLayout layout = new PackedLayout(bits, 7, 161, group);
    float[] weights = new Draws().gaussian(7 * 161);
    QuantizedLinear nearest = NearestRounding.round(weights, layout, symmetric, workers);
    AdaptiveRounding rounding = new AdaptiveRounding(weights, nearest, workers);
    rounding.harden(0);
    QuantizedLinear found = rounding.freeze(weights);
    assertArrayEquals(nearest.codes(), found.codes(), HINT);
    assertArrayEquals(nearest.scales(), found.scales(), HINT);
    float[] rounded = new float[weights.length];
    rounding.round(weights, rounded);
    assertArrayEquals(nearest.toFloats(), rounded, HINT);
  }

  /** Before anything is learned h is the weight's own fraction: what is not clamped is exact. */
  @Test
  void softItStartsAtTheWeightsThemselves() {
    PackedLayout layout = new PackedLayout(3, 5, 97, 32);
    float[] weights = new Draws().gaussian(5 * 97);
    QuantizedLinear grid = NearestRounding.round(weights, layout, false, workers);
    float[] rounded = new float[weights.length];
    new AdaptiveRounding(weights, grid, workers).round(weights, rounded);
    int exact = 0;
    for (int i = 0; i < weights.length; i++) {
      exact += Math.abs(rounded[i] - weights[i]) < 1e-5 ? 1 : 0;
    }
    assertTrue(exact > 0.9 * weights.length, exact + " of " + weights.length + ", " + HINT);
  }

  /** Against differences; h is smooth between its clipped ends, and so is the regularizer. */
  @ParameterizedTest
  @CsvSource({"0, 1", "0.3, 20", "0.3, 2.5"})
  void gradientEqualsFiniteDifferences(double weight, double beta) {
    Draws draws = new Draws();
    PackedLayout layout = new PackedLayout(3, 5, 97, 32);
    float[] weights = draws.gaussian(5 * 97);
    float[] upstream = draws.gaussian(5 * 97);
    QuantizedLinear grid = NearestRounding.round(weights, layout, false, workers);
    AdaptiveRounding rounding = new AdaptiveRounding(weights, grid, workers);
    rounding.backward(weights, upstream.clone());
    rounding.addDecisiveness(weight, beta);
    float[] v = rounding.choices().value;
    float[] rounded = new float[weights.length];
    float step = 1e-2f;
    double clipped = Math.log(11) - step;
    for (int i = 0; i < v.length; i++) {
      float middle = v[i];
      if (Math.abs(middle) > clipped) {
        continue; // h has a corner here
      }
      double[] sums = new double[2];
      for (int side = 0; side < 2; side++) {
        v[i] = middle + (2 * side - 1) * step;
        rounding.round(weights, rounded);
        double h = Math.clamp(1.2 / (1 + Math.exp(-v[i])) - 0.1, 0, 1);
        double indecision = 1 - Math.pow(Math.abs(2 * h - 1), beta);
        boolean soft = rounding.choices().gradient[i] != 0;
        sums[side] = (double) upstream[i] * rounded[i] + (soft ? weight * indecision : 0);
      }
      v[i] = middle;
      double expected = (sums[1] - sums[0]) / (2 * step);
      assertEquals(
          expected,
          rounding.choices().gradient[i],
          2e-3 * (1 + Math.abs(expected)),
          i + ", " + HINT);
    }
  }

  @ParameterizedTest
  @CsvSource({"llama3, W3A16", "llama3, W2A16g64", "opt, W3A16g32sym", "opt, W4A4KV4"})
  void learnedRoundingIsBetterThanNearestOnTheSameGrid(String model, String scheme)
      throws IOException {
    try (SampleBlock sample = new SampleBlock(model)) {
      double nearest = sample.error(sample.block, scheme, NONE, new AdaRound(0));
      double learned = sample.error(sample.block, scheme, NONE, new AdaRound(60));
      assertTrue(learned < 0.9 * nearest, learned + " after " + nearest + ", " + HINT);
    }
  }

  /** Every code is the one below or above its weight; not so for codes that are drawn further. */
  @Test
  void codesAreNeighboursOfTheirWeights() throws IOException {
    try (SampleBlock sample = new SampleBlock("llama3")) {
      BlockTask task = sample.task(sample.block, "W3A16g64");
      Map<LinearRole, QuantizedLinear> learned =
          new AdaRound(30).round(task, sample.block).linears();
      int moved = 0;
      for (LinearRole role : sample.block.roles()) {
        float[] weights = sample.block.linear(role).weight();
        QuantizedLinear codes = learned.get(role);
        QuantizedLinear nearest =
            RangeSearch.leastSquares(weights, task.layout(role), false, workers);
        assertArrayEquals(nearest.scales(), codes.scales());
        assertArrayEquals(nearest.zeros(), codes.zeros());
        for (int i = 0; i < weights.length; i++) {
          int apart = Math.abs((codes.codes()[i] & 0xff) - (nearest.codes()[i] & 0xff));
          assertTrue(apart <= 1, role + " " + i + ", " + HINT);
          moved += apart;
        }
      }
      assertTrue(moved > 100, moved + " codes moved, " + HINT);
    }
  }

  /** The training is what helps: as many codes moved at random make the block worse. */
  @Test
  void roundingAtRandomIsWorseThanNearest() throws IOException {
    try (SampleBlock sample = new SampleBlock("llama3")) {
      Random random = new Draws().random();
      BlockRounding atRandom =
          new BlockRounding() {
            @Override
            public Map<String, String> settings() {
              return Map.of();
            }

            @Override
            public RoundedLinears round(BlockTask task, TransformerBlock block) {
              RoundedLinears codes = new AdaRound(0).round(task, block);
              for (QuantizedLinear linear : codes.linears().values()) {
                for (int i = 0; i < linear.codes().length; i++) {
                  int code = linear.codes()[i] + random.nextInt(-1, 2);
                  linear.codes()[i] = (byte) Math.clamp(code, 0, 7);
                }
              }
              return codes;
            }
          };
      double nearest = sample.error(sample.block, "W3A16g64", NONE, new AdaRound(0));
      double moved = sample.error(sample.block, "W3A16g64", NONE, atRandom);
      assertTrue(moved > 1.2 * nearest, moved + " against " + nearest + ", " + HINT);
    }
  }

  /** No range of those searched has a smaller error, the whole one least of all. */
  @Test
  void searchedRangesLoseLessThanWholeOnes() {
    PackedLayout layout = new PackedLayout(3, 9, 160, 0);
    float[] weights = new Draws().gaussian(9 * 160);
    double whole = error(weights, NearestRounding.round(weights, layout, false, workers));
    double searched = error(weights, RangeSearch.leastSquares(weights, layout, false, workers));
    assertTrue(searched < 0.95 * whole, searched + " against " + whole + ", " + HINT);
  }

  @Test
  void refusesNoStepsAndOptionsOfOthers() {
    MethodCatalog.Options none = MethodCatalog.Options.DEFAULT;
    assertThrows(
        IllegalArgumentException.class,
        () -> MethodCatalog.create("omniquant+par", none.withParSteps(0)));
    assertThrows(
        IllegalArgumentException.class,
        () -> MethodCatalog.create("omniquant", none.withParSteps(4)));
    assertThrows(
        IllegalArgumentException.class,
        () -> MethodCatalog.create("adaround", none.withEpochs(-1)));
    assertEquals(
        "7",
        MethodCatalog.create("omniquant+par", none.withParSteps(7)).settings().get("par_steps"));
  }

  private static double error(float[] weights, QuantizedLinear codes) {
    float[] rounded = codes.toFloats();
    double error = 0;
    for (int i = 0; i < weights.length; i++) {
      error += Math.pow(weights[i] - rounded[i], 2);
    }
    return error;
  }
}
