package dev.nibble.bench.result;

import dev.nibble.bench.result.Measurement.Origin;
import dev.nibble.bench.result.Measurement.Spread;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Whether two runs found the same.
 *
 * @param pairs figures that both have
 * @param apart those whose spreads do not meet
 * @param onlyFirst how many the first run alone has
 * @param onlySecond how many the second run alone has
 */
public record Agreement(List<Pair> pairs, List<Pair> apart, int onlyFirst, int onlySecond) {
  /** What figures of one sample, such as bytes, may differ by: they show no spread. */
  private static final double SINGLE = 0.05;

  /**
   * A figure twice.
   *
   * @param first in the one run
   * @param second in the other
   */
  public record Pair(Measurement first, Measurement second) {
    /**
     * What the median changed by.
     *
     * @return share of the first
     */
    public double change() {
      double before = first.value().median();
      double after = second.value().median();
      return before == after ? 0 : after / before - 1; // nothing may stay nothing
    }

    private boolean meets(double slack) {
      Spread a = first.value();
      Spread b = second.value();
      boolean single = a.samples() == 1 || b.samples() == 1;
      double room = Math.max(slack, single ? SINGLE / 2 : 0) * Math.abs(a.median());
      return a.min() - room <= b.max() + room && b.min() - room <= a.max() + room;
    }
  }

  /**
   * Compares what was measured; what was computed or published cannot differ.
   *
   * @param first run
   * @param second run
   * @param slack that spreads are widened by, share of the figure
   * @return the comparison
   */
  public static Agreement of(
      Collection<Measurement> first, Collection<Measurement> second, double slack) {
    Map<String, Measurement> before = bySubject(first);
    Map<String, Measurement> after = bySubject(second);
    List<Pair> pairs = new ArrayList<>();
    before.forEach((subject, measurement) -> {
      Measurement again = after.get(subject);
      if (again != null) {
        pairs.add(new Pair(measurement, again));
      }
    });
    List<Pair> apart = pairs.stream().filter(pair -> !pair.meets(slack)).toList();
    return new Agreement(
        List.copyOf(pairs), apart, before.size() - pairs.size(), after.size() - pairs.size());
  }

  private static Map<String, Measurement> bySubject(Collection<Measurement> measurements) {
    Map<String, Measurement> latest = new LinkedHashMap<>();
    measurements.stream()
        .filter(m -> m.origin() == Origin.MEASURED || m.origin() == Origin.IMPORTED)
        .forEach(m -> latest.put(m.subject(), m));
    return latest;
  }

  /**
   * How far medians moved.
   *
   * @return the middle one of all changes, as a share; 0 of none
   */
  public double medianChange() {
    double[] changes = changes();
    return changes.length == 0 ? 0 : Spread.of(changes).median();
  }

  /**
   * How far the median moved that moved most.
   *
   * @return a share; 0 of none
   */
  public double mostChange() {
    return Arrays.stream(changes()).max().orElse(0);
  }

  private double[] changes() {
    return pairs.stream().mapToDouble(pair -> Math.abs(pair.change())).toArray();
  }
}
