package dev.nibble.bench.result;

import dev.nibble.bench.result.Measurement.Kind;
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
 * Whether two runs found the same.
 *
 * @param pairs figures that both have
 * @param apart those whose spreads lie further apart than allowed
 * @param onlyFirst how many the first run alone has
 * @param onlySecond how many the second run alone has
 */
public record Agreement(List<Pair> pairs, List<Pair> apart, int onlyFirst, int onlySecond) {
  /** What figures of one sample, such as bytes, may differ by: they show no spread. */
  private static final double SINGLE = 0.05;

  /**
   * How far apart the spreads of two runs may lie, as shares of the figure: a run shows what
   * differs within one machine, not what differs between two.
   *
   * @param device of a GPU's figures
   * @param host of a CPU's, and of calls from it
   */
  public record Slack(double device, double host) {
    /** None: the spreads themselves have to meet. */
    public static final Slack NONE = new Slack(0, 0);
  }

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

    /**
     * What lies between the two spreads.
     *
     * @return share of the figure, 0 if they meet
     */
    public double gap() {
      Spread a = first.value();
      Spread b = second.value();
      double gap = Math.max(a.min() - b.max(), b.min() - a.max());
      return gap <= 0 ? 0 : gap / Math.max(Math.abs(a.median()), Math.abs(b.median()));
    }

    /**
     * How wide the wider spread is: what is wide meets easily.
     *
     * @return share of the figure
     */
    public double width() {
      return Math.max(width(first.value()), width(second.value()));
    }

    private static double width(Spread spread) {
      return spread.max() == spread.min()
          ? 0
          : (spread.max() - spread.min()) / Math.abs(spread.median());
    }

    private boolean meets(Slack slack) {
      boolean single = first.value().samples() == 1 || second.value().samples() == 1;
      boolean host = first.kind() == Kind.CALL || first.machine().driver().isEmpty();
      double allowed = host ? slack.host : slack.device;
      return gap() <= Math.max(allowed, single ? SINGLE : 0);
    }
  }

  /**
   * Compares what was measured; what was computed or published cannot differ.
   *
   * @param first run
   * @param second run
   * @param slack that is allowed
   * @return the comparison
   */
  public static Agreement of(
      Collection<Measurement> first, Collection<Measurement> second, Slack slack) {
    Map<String, Measurement> before = bySubject(first);
    Map<String, Measurement> after = bySubject(second);
    List<Pair> pairs = new ArrayList<>();
    before.forEach((subject, measurement) -> {
      Measurement again = after.get(subject);
      if (again != null) {
        pairs.add(new Pair(measurement, again));
      }
    });
    return of(pairs, slack, before.size() - pairs.size(), after.size() - pairs.size());
  }

  private static Agreement of(List<Pair> pairs, Slack slack, int onlyFirst, int onlySecond) {
    List<Pair> apart = pairs.stream().filter(pair -> !pair.meets(slack)).toList();
    return new Agreement(List.copyOf(pairs), apart, onlyFirst, onlySecond);
  }

  /**
   * A part of the comparison.
   *
   * @param wanted pairs
   * @return the same for these alone
   */
  public Agreement only(Predicate<Pair> wanted) {
    return new Agreement(
        pairs.stream().filter(wanted).toList(), apart.stream().filter(wanted).toList(), 0, 0);
  }

  /**
   * Figures whose spreads themselves meet.
   *
   * @return how many
   */
  public long meeting() {
    return pairs.stream().filter(pair -> pair.gap() == 0).count();
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
