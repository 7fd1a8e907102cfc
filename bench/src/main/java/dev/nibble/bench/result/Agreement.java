package dev.nibble.bench.result;

import dev.nibble.bench.result.Measurement.Origin;
import dev.nibble.bench.result.Measurement.Spread;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/**
 * Whether a run found what an earlier one led to expect.
 *
 * @param pairs figures that both have
 * @param onlyFirst how many the first run alone has
 * @param onlySecond how many the second run alone has
 */
public record Agreement(List<Pair> pairs, int onlyFirst, int onlySecond) {
  /**
   * A figure twice.
   *
   * @param first in the one run
   * @param second in the other, later or elsewhere
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

    /**
     * Whether the second run's median lies where the first's figure says that another run's will.
     *
     * @return whether it does
     */
    public boolean agrees() {
      Spread expected = Reproducibility.range(first);
      double found = second.value().median();
      return expected.min() <= found && found <= expected.max();
    }

    /**
     * How far apart the first run's own samples lie: what is wide agrees easily.
     *
     * @return share of the figure
     */
    public double width() {
      Spread own = first.value();
      return own.max() == own.min() ? 0 : (own.max() - own.min()) / Math.abs(own.median());
    }
  }

  /**
   * Compares what was measured; what was computed or published cannot differ.
   *
   * @param first run
   * @param second run
   * @return the comparison
   */
  public static Agreement of(Collection<Measurement> first, Collection<Measurement> second) {
    Map<String, Measurement> before = bySubject(first);
    Map<String, Measurement> after = bySubject(second);
    List<Pair> pairs = new ArrayList<>();
    before.forEach((subject, measurement) -> {
      Measurement again = after.get(subject);
      if (again != null) {
        pairs.add(new Pair(measurement, again));
      }
    });
    return new Agreement(
        List.copyOf(pairs), before.size() - pairs.size(), after.size() - pairs.size());
  }

  private static Map<String, Measurement> bySubject(Collection<Measurement> measurements) {
    Map<String, Measurement> latest = new LinkedHashMap<>();
    measurements.stream()
        .filter(m -> m.origin() == Origin.MEASURED || m.origin() == Origin.IMPORTED)
        .forEach(m -> latest.put(m.subject(), m));
    return latest;
  }

  /**
   * A part of the comparison.
   *
   * @param wanted pairs
   * @return the same for these alone
   */
  public Agreement only(Predicate<Pair> wanted) {
    return new Agreement(pairs.stream().filter(wanted).toList(), 0, 0);
  }

  /**
   * Figures that the second run found elsewhere than expected.
   *
   * @return these
   */
  public List<Pair> apart() {
    return pairs.stream().filter(pair -> !pair.agrees()).toList();
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
