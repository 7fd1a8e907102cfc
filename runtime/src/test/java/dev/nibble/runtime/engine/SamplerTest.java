package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SamplerTest {
  private static final int DRAWS = 20_000;
  private static final int[] NONE = {};

  /** Probabilities 0.5, 0.25, 0.15, 0.1 at ids 2, 0, 3, 1. */
  private static final float[] LOGITS = {
    (float) Math.log(0.25), (float) Math.log(0.1), (float) Math.log(0.5), (float) Math.log(0.15)
  };

  @Test
  void greedyTakesTheSmallestIdAmongEquals() {
    float[] logits = {-1, 3, 2, 3};
    assertEquals(1, sampler(4, SamplingParameters.GREEDY).sample(logits, 0, NONE, 0));
  }

  @Test
  void drawsAsOftenAsTheProbabilitiesSay() {
    assertFrequencies(new double[] {0.25, 0.1, 0.5, 0.15}, with(1, 0, 1, 0));
  }

  @Test
  void temperatureSharpens() {
    double[] squares = {0.0625, 0.01, 0.25, 0.0225};
    double sum = 0.345;
    for (int i = 0; i < squares.length; i++) {
      squares[i] /= sum;
    }
    assertFrequencies(squares, with(0.5f, 0, 1, 0));
  }

  @Test
  void topKKeepsTheMostLikely() {
    assertFrequencies(new double[] {1 / 3.0, 0, 2 / 3.0, 0}, with(1, 2, 1, 0));
  }

  @Test
  void topPKeepsWhatReachesIt() {
    assertFrequencies(new double[] {1 / 3.0, 0, 2 / 3.0, 0}, with(1, 0, 0.7f, 0));
    assertFrequencies(new double[] {0, 0, 1, 0}, with(1, 0, 0.01f, 0));
  }

  @Test
  void topPCountsWithinTopK() {
    assertFrequencies(new double[] {0, 0, 1, 0}, with(1, 2, 0.6f, 0));
    assertFrequencies(new double[] {1 / 3.0, 0, 2 / 3.0, 0}, with(1, 2, 0.7f, 0));
  }

  @Test
  void minPDropsTheUnlikely() {
    assertFrequencies(new double[] {1 / 3.0, 0, 2 / 3.0, 0}, with(1, 0, 1, 0.4f));
    assertFrequencies(new double[] {1 / 3.0, 0, 2 / 3.0, 0}, with(1, 3, 0.99f, 0.4f));
  }

  @Test
  void penaltyHitsEachSeenTokenOnce() {
    SamplingParameters penalized = new SamplingParameters(0, 0, 1, 0, 2, 0);
    float[] logits = {4, 3, -1, 1};
    assertEquals(1, sampler(4, penalized).sample(logits, 0, new int[] {0, 0, 2, 9}, 3));
    assertArrayEquals(new float[] {2, 3, -2, 1}, logits);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 7, 33, 1000})
  void theSameSeedGivesTheSameTokensAndAnOffsetChangesNothing(int vocab) {
    Random random = new Random(vocab);
    SamplingParameters parameters = new SamplingParameters(0.8f, 5, 0.9f, 0.01f, 1, 42);
    Sampler one = sampler(vocab, parameters);
    Sampler two = sampler(vocab, parameters);
    for (int i = 0; i < 50; i++) {
      float[] logits = new float[vocab + 3];
      for (int id = 0; id < vocab; id++) {
        logits[3 + id] = (float) random.nextGaussian();
      }
      float[] moved = Arrays.copyOfRange(logits, 3, 3 + vocab);
      int token = one.sample(logits, 3, NONE, 0);
      assertEquals(token, two.sample(moved, 0, NONE, 0));
      assertTrue(token >= 0 && token < vocab);
    }
  }

  @Test
  void anotherSeedGivesOtherTokens() {
    int[] one = draws(with(1, 0, 1, 0), 1, 50);
    int[] two = draws(with(1, 0, 1, 0), 2, 50);
    assertFalse(Arrays.equals(one, two));
  }

  @ParameterizedTest
  @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY})
  void whatIsNoNumberIsNeverSampled(float wrong) {
    float[] logits = {1, wrong, 2, 3};
    assertThrows(
        NonFiniteLogitsException.class,
        () -> sampler(4, SamplingParameters.GREEDY).sample(logits, 0, NONE, 0));
  }

  private static void assertFrequencies(double[] expected, SamplingParameters parameters) {
    int[] counts = new int[expected.length];
    for (int token : draws(parameters, 7, DRAWS)) {
      counts[token]++;
    }
    for (int id = 0; id < expected.length; id++) {
      double deviation = Math.sqrt(expected[id] * (1 - expected[id]) / DRAWS);
      assertEquals(expected[id], counts[id] / (double) DRAWS, 4 * deviation, "id " + id);
    }
  }

  private static int[] draws(SamplingParameters parameters, long seed, int count) {
    Sampler sampler =
        sampler(
            LOGITS.length,
            new SamplingParameters(
                parameters.temperature(),
                parameters.topK(),
                parameters.topP(),
                parameters.minP(),
                1,
                seed));
    int[] tokens = new int[count];
    for (int i = 0; i < count; i++) {
      tokens[i] = sampler.sample(LOGITS.clone(), 0, NONE, 0);
    }
    return tokens;
  }

  private static Sampler sampler(int vocab, SamplingParameters parameters) {
    Sampler sampler = new Sampler(new Sampler.Scratch(vocab));
    sampler.start(parameters);
    return sampler;
  }

  private static SamplingParameters with(float temperature, int topK, float topP, float minP) {
    return new SamplingParameters(temperature, topK, topP, minP, 1, 0);
  }
}
