package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BalancedClustersTest {
  private static final long SEED = Long.getLong("tests.seed", 20_261_122L);

  @ParameterizedTest
  @CsvSource({"32, 1, 32", "96, 2, 32", "256, 8, 32", "320, 3, 32", "64, 9, 16", "7, 3, 1"})
  void everyPointOnceInMultiplesOfTheUnit(int points, int count, int unit) {
    double[][] features = uneven(points);
    List<int[]> clusters = BalancedClusters.of(features, count, unit, SEED);
    assertEquals(Math.min(count, points / unit), clusters.size());
    int[] all = clusters.stream().flatMapToInt(Arrays::stream).sorted().toArray();
    assertArrayEquals(IntStream.range(0, points).toArray(), all);
    for (int[] cluster : clusters) {
      assertTrue(cluster.length > 0 && cluster.length % unit == 0);
    }
    List<int[]> again = BalancedClusters.of(features, count, unit, SEED);
    for (int c = 0; c < clusters.size(); c++) {
      assertArrayEquals(clusters.get(c), again.get(c));
    }
  }

  @Test
  void findsGroupsThatFit() {
    Random random = new Random(SEED);
    int[] group = IntStream.range(0, 128).map(i -> i * 37 % 128 / 32).toArray();
    double[][] features = new double[128][];
    for (int i = 0; i < features.length; i++) {
      double size = Math.pow(10, group[i]) * (1 + 0.1 * random.nextDouble());
      features[i] = new double[] {size, -size};
    }
    List<int[]> clusters = BalancedClusters.of(features, 4, 32, SEED);
    for (int c = 0; c < 4; c++) {
      int wanted = c;
      assertArrayEquals(
          IntStream.range(0, 128).filter(i -> group[i] == wanted).toArray(),
          clusters.get(c),
          "-Dtests.seed=" + SEED);
    }
  }

  /** A cluster with one far point is filled up with the points next to it, not with any. */
  @Test
  void isNoWorseThanCuttingTheSortedPoints() {
    double[][] features = uneven(512);
    Integer[] sorted = IntStream.range(0, 512).boxed().toArray(Integer[]::new);
    Arrays.sort(sorted, Comparator.comparingDouble(i -> features[i][0] - features[i][1]));
    List<int[]> cut = new ArrayList<>();
    for (int c = 0; c < 16; c++) {
      cut.add(Arrays.stream(sorted, 32 * c, 32 * c + 32).mapToInt(i -> i).toArray());
    }
    double found = cost(features, BalancedClusters.of(features, 16, 32, SEED));
    double limit = cost(features, cut);
    assertTrue(found <= limit, () -> found + " above " + limit + ", -Dtests.seed=" + SEED);
  }

  @Test
  void refusesPointsThatAreNoMultiple() {
    assertThrows(
        IllegalArgumentException.class, () -> BalancedClusters.of(uneven(33), 2, 32, SEED));
    assertThrows(
        IllegalArgumentException.class, () -> BalancedClusters.of(uneven(32), 0, 32, SEED));
  }

  /** Ranges as activations have them: most small, a few a hundredfold. */
  private static double[][] uneven(int points) {
    Random random = new Random(SEED);
    double[][] features = new double[points][];
    for (int i = 0; i < points; i++) {
      double size = Math.exp(1.5 * random.nextGaussian());
      features[i] = new double[] {size, -size * random.nextDouble()};
    }
    return features;
  }

  private static double cost(double[][] features, List<int[]> clusters) {
    double cost = 0;
    for (int[] cluster : clusters) {
      for (int d = 0; d < 2; d++) {
        int dimension = d;
        double mean =
            Arrays.stream(cluster).mapToDouble(i -> features[i][dimension]).average().orElseThrow();
        for (int i : cluster) {
          cost += Math.pow(features[i][d] - mean, 2);
        }
      }
    }
    return cost;
  }
}
