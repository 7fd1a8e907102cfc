package dev.nibble.quantizer.method;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * K-means with clusters whose sizes are multiples of a unit: ordinary K-means from several starts,
 * after which points trade places between clusters until no pair of clusters can share its points
 * out better.
 *
 * <p>For two clusters of fixed sizes the best division is by the projection on the line between
 * their centres, which is what a trade does. The result depends on points and seed alone.
 */
final class BalancedClusters {
  private static final int STARTS = 10;
  private static final int ROUNDS = 30;

  private final double[][] points;
  private final int count;
  private final int unit;

  /** Where each point belongs, and where the clusters lie. */
  @SuppressWarnings("ArrayRecordComponent") // shared, not compared
  private record Clustering(int[] of, double[][] centres, double cost) {}

  private BalancedClusters(double[][] points, int count, int unit) {
    this.points = points;
    this.count = count;
    this.unit = unit;
  }

  /**
   * Clusters points.
   *
   * @param points features of each
   * @param count clusters wanted; never more than the points fill with a unit each
   * @param unit the sizes are multiples of it; the number of points must be one
   * @return members of each cluster, ascending; clusters in order of the sum of |features|
   */
  static List<int[]> of(double[][] points, int count, int unit, long seed) {
    if (points.length == 0 || points.length % unit != 0 || count < 1) {
      throw new IllegalArgumentException(
          points.length + " points in " + count + " clusters of multiples of " + unit);
    }
    int most = Math.min(count, points.length / unit);
    return new BalancedClusters(points, most, unit).best(new Random(seed));
  }

  private List<int[]> best(Random random) {
    Clustering best = balanced(lloyd(start(random)));
    for (int i = 1; i < STARTS && count > 1; i++) {
      Clustering other = balanced(lloyd(start(random)));
      if (other.cost < best.cost) {
        best = other;
      }
    }
    List<int[]> clusters = new ArrayList<>();
    double[][] centres = best.centres;
    int[] of = best.of;
    IntStream.range(0, count)
        .boxed()
        .sorted(Comparator.comparingDouble(c -> magnitude(centres[c])))
        .forEach(
            c -> clusters.add(IntStream.range(0, of.length).filter(i -> of[i] == c).toArray()));
    return clusters;
  }

  /** K-means++: each centre is drawn with odds that grow with the distance to those before. */
  private double[][] start(Random random) {
    double[][] centres = new double[count][];
    centres[0] = points[random.nextInt(points.length)].clone();
    double[] nearest = new double[points.length];
    Arrays.fill(nearest, Double.POSITIVE_INFINITY);
    for (int c = 1; c < count; c++) {
      double total = 0;
      for (int i = 0; i < points.length; i++) {
        nearest[i] = Math.min(nearest[i], distance(points[i], centres[c - 1]));
        total += nearest[i];
      }
      double left = random.nextDouble() * total;
      int chosen = 0;
      while (chosen < points.length - 1 && left >= nearest[chosen]) {
        left -= nearest[chosen++];
      }
      centres[c] = points[chosen].clone();
    }
    return centres;
  }

  private Clustering lloyd(double[][] centres) {
    int[] of = new int[points.length];
    Arrays.fill(of, -1);
    for (int round = 0; round < ROUNDS; round++) {
      boolean moved = false;
      for (int i = 0; i < points.length; i++) {
        int to = nearest(points[i], centres);
        moved |= to != of[i];
        of[i] = to;
      }
      if (!moved) {
        break;
      }
      recentre(of, centres);
    }
    return new Clustering(of, centres, cost(of, centres));
  }

  private Clustering balanced(Clustering free) {
    int[] of = fill(free.centres, sizes(free.of));
    double[][] centres = free.centres;
    recentre(of, centres);
    double cost = cost(of, centres);
    for (int round = 0; round < ROUNDS; round++) {
      trade(of, centres);
      recentre(of, centres);
      double now = cost(of, centres);
      if (now >= cost) {
        break;
      }
      cost = now;
    }
    return new Clustering(of, centres, cost);
  }

  /** Sizes near those that K-means found: a unit each, and the rest where most points lie. */
  private int[] sizes(int[] of) {
    int[] found = new int[count];
    for (int c : of) {
      found[c]++;
    }
    int[] sizes = new int[count];
    Arrays.fill(sizes, unit);
    for (int left = points.length - count * unit; left > 0; left -= unit) {
      int to = 0;
      for (int c = 1; c < count; c++) {
        if (found[c] - sizes[c] > found[to] - sizes[to]) {
          to = c;
        }
      }
      sizes[to] += unit;
    }
    return sizes;
  }

  /** Each point to the nearest centre with room. */
  private int[] fill(double[][] centres, int[] sizes) {
    int[] room = sizes.clone();
    int[] of = new int[points.length];
    for (int i = 0; i < points.length; i++) {
      int best = -1;
      for (int c = 0; c < count; c++) {
        if (room[c] > 0
            && (best < 0 || distance(points[i], centres[c]) < distance(points[i], centres[best]))) {
          best = c;
        }
      }
      of[i] = best;
      room[best]--;
    }
    return of;
  }

  private void trade(int[] of, double[][] centres) {
    for (int a = 0; a < count; a++) {
      for (int b = a + 1; b < count; b++) {
        divide(of, centres, a, b);
      }
    }
  }

  private void divide(int[] of, double[][] centres, int a, int b) {
    int size = 0;
    List<Integer> both = new ArrayList<>();
    for (int i = 0; i < of.length; i++) {
      if (of[i] == a || of[i] == b) {
        both.add(i);
        size += of[i] == a ? 1 : 0;
      }
    }
    double[] place = new double[of.length];
    for (int i : both) {
      for (int d = 0; d < centres[a].length; d++) {
        place[i] += points[i][d] * (centres[a][d] - centres[b][d]);
      }
    }
    both.sort(
        Comparator.<Integer>comparingDouble(i -> -place[i]).thenComparing(i -> of[i] == a ? 0 : 1));
    for (int k = 0; k < both.size(); k++) {
      of[both.get(k)] = k < size ? a : b;
    }
  }

  /** Moves the centres to their points; one without points stays. */
  private void recentre(int[] of, double[][] centres) {
    int[] sizes = new int[count];
    double[][] sums = new double[count][points[0].length];
    for (int i = 0; i < of.length; i++) {
      sizes[of[i]]++;
      for (int d = 0; d < points[i].length; d++) {
        sums[of[i]][d] += points[i][d];
      }
    }
    for (int c = 0; c < count; c++) {
      for (int d = 0; d < sums[c].length && sizes[c] > 0; d++) {
        centres[c][d] = sums[c][d] / sizes[c];
      }
    }
  }

  private double cost(int[] of, double[][] centres) {
    double sum = 0;
    for (int i = 0; i < of.length; i++) {
      sum += distance(points[i], centres[of[i]]);
    }
    return sum;
  }

  private static int nearest(double[] point, double[][] centres) {
    int best = 0;
    for (int c = 1; c < centres.length; c++) {
      if (distance(point, centres[c]) < distance(point, centres[best])) {
        best = c;
      }
    }
    return best;
  }

  private static double distance(double[] a, double[] b) {
    double sum = 0;
    for (int d = 0; d < a.length; d++) {
      sum += (a[d] - b[d]) * (a[d] - b[d]);
    }
    return sum;
  }

  private static double magnitude(double[] centre) {
    return Arrays.stream(centre).map(Math::abs).sum();
  }
}
