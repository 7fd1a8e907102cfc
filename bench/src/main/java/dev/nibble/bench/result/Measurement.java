package dev.nibble.bench.result;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * One figure and where it comes from.
 *
 * @param kind what is told
 * @param name of the thing measured, such as {@code gemv}
 * @param parameters of it, such as its shape
 * @param unit of the value
 * @param value median of the samples, least and most
 * @param work what one call must move and compute, if known
 * @param origin how the figure came about
 * @param machine that it was measured on, or computed for
 * @param clocks at the end of the measurement
 * @param run which run it belongs to
 */
@JsonPropertyOrder({
  "kind",
  "name",
  "parameters",
  "unit",
  "value",
  "work",
  "origin",
  "machine",
  "clocks",
  "run"
})
@JsonInclude(JsonInclude.Include.NON_DEFAULT)
public record Measurement(
    Kind kind,
    String name,
    SortedMap<String, String> parameters,
    String unit,
    Spread value,
    Work work,
    Origin origin,
    Machine machine,
    Clocks clocks,
    Run run) {
  /** What a figure tells. */
  public enum Kind {
    /** What the device itself can do; other figures are shares of it. */
    @JsonProperty("ceiling")
    CEILING,
    /** The cost of a call from Java. */
    @JsonProperty("call")
    CALL,
    /** One operation of a model. */
    @JsonProperty("kernel")
    KERNEL,
    /** A whole model. */
    @JsonProperty("model")
    MODEL,
    /** Bytes. */
    @JsonProperty("memory")
    MEMORY
  }

  /** How a figure came about. */
  public enum Origin {
    /** Measured by this project. */
    @JsonProperty("measured")
    MEASURED,
    /** Computed from shapes. */
    @JsonProperty("computed")
    COMPUTED,
    /** Measured of somebody else's program or library. */
    @JsonProperty("imported")
    IMPORTED,
    /** Taken from a publication. */
    @JsonProperty("published")
    PUBLISHED
  }

  /**
   * The samples of a figure.
   *
   * @param median the middle one
   * @param min the least
   * @param max the most
   * @param samples how many
   */
  @JsonInclude(JsonInclude.Include.ALWAYS)
  public record Spread(double median, double min, double max, int samples) {
    /**
     * The spread of samples.
     *
     * @param samples at least one
     * @return median, least and most
     */
    public static Spread of(double... samples) {
      if (samples.length == 0) {
        throw new IllegalArgumentException("no samples");
      }
      double[] sorted = samples.clone();
      java.util.Arrays.sort(sorted);
      int half = sorted.length / 2;
      double median = sorted.length % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
      return new Spread(median, sorted[0], sorted[sorted.length - 1], sorted.length);
    }

    /**
     * The spread of what was measured several times.
     *
     * @param rounds at least one
     * @return the median of their medians, the least and the most of all
     */
    public static Spread pooled(List<Spread> rounds) {
      double median = of(rounds.stream().mapToDouble(Spread::median).toArray()).median();
      return new Spread(
          median,
          rounds.stream().mapToDouble(Spread::min).min().orElseThrow(),
          rounds.stream().mapToDouble(Spread::max).max().orElseThrow(),
          rounds.stream().mapToInt(Spread::samples).sum());
    }

    /**
     * The spread in another unit.
     *
     * @param factor above 0
     * @return all three, multiplied
     */
    public Spread times(double factor) {
      return new Spread(median * factor, min * factor, max * factor, samples);
    }
  }

  /**
   * What one call has to do at the least; 0 where it does not matter.
   *
   * @param bytes moved from or to memory
   * @param operations on numbers, a multiplication and an addition each
   */
  public record Work(long bytes, long operations) {
    /** Nothing that could be counted. */
    public static final Work NONE = new Work(0, 0);
  }

  /**
   * State of the device when a figure was taken; 0 where it cannot be read.
   *
   * @param coreMhz clock of its cores
   * @param memoryMhz clock of its memory
   * @param celsius its temperature
   */
  public record Clocks(int coreMhz, int memoryMhz, int celsius) {
    /** Not to be read. */
    public static final Clocks UNKNOWN = new Clocks(0, 0, 0);
  }

  /**
   * Of which run a figure is.
   *
   * @param commit of this project
   * @param command that gives the figure again
   * @param time of the run, ISO 8601, UTC
   * @param step and the round of it that gave it, a {@link StepRound}, so that a run can go on
   *     where one was ended; empty if it is no suite's
   */
  public record Run(String commit, String command, String time, String step) {}

  /** Copies the parameters; what a line of JSON leaves out is nothing. */
  public Measurement {
    parameters = parameters == null ? new TreeMap<>() : new TreeMap<>(parameters);
    work = work == null ? Work.NONE : work;
    clocks = clocks == null ? Clocks.UNKNOWN : clocks;
  }

  /**
   * A figure of this project's.
   *
   * @param kind what is told
   * @param name of the thing measured
   * @param parameters of it
   * @param unit of the value
   * @param value the samples
   * @param work of one call
   * @param origin how the figure came about
   * @param context when and where
   * @return the record
   */
  public static Measurement of(
      Kind kind,
      String name,
      Map<String, String> parameters,
      String unit,
      Spread value,
      Work work,
      Origin origin,
      Context context) {
    return new Measurement(
        kind,
        name,
        new TreeMap<>(parameters),
        unit,
        value,
        work,
        origin,
        context.machine(),
        context.clocks(),
        context.run());
  }

  /**
   * When and where figures are taken.
   *
   * @param machine on which
   * @param clocks of it now
   * @param run of which they are
   */
  public record Context(Machine machine, Clocks clocks, Run run) {}

  /**
   * The same figure with other samples.
   *
   * @param samples of it
   * @return the record
   */
  Measurement with(Spread samples) {
    return new Measurement(
        kind, name, parameters, unit, samples, work, origin, machine, clocks, run);
  }

  /**
   * A parameter.
   *
   * @param parameter its name
   * @return its value, empty if there is none
   */
  public String parameter(String parameter) {
    return parameters.getOrDefault(parameter, "");
  }

  /**
   * What was measured, whenever it was.
   *
   * @return the same for two records of which the later takes the place of the earlier
   */
  public String subject() {
    return String.join(" ", kind.name(), name, parameters.toString(), unit, machine.device());
  }
}
