package dev.nibble.bench.result;

import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Origin;
import dev.nibble.bench.result.Measurement.Spread;

/**
 * What runs differ by, beyond what one run shows: another machine of the same kind, another day,
 * other places in memory. For each sort of figure the most by which a median of two runs of {@code
 * quick} on two hosts of H200s differed, on 22 November 2026 at the commits 62917e1 and bd45925,
 * whatever each run's own spread covered of it. {@code agree} holds later runs to it, and prints
 * what they differ by.
 */
public enum Reproducibility {
  /** What the device can do. */
  CEILING("ceilings", 0.037),
  /** Products of other libraries on the GPU, whose algorithms differ from run to run. */
  LIBRARY("libraries' products", 0.092),
  /** The GPU's kernels. */
  KERNEL("kernels", 0.052),
  /** Those whose time is latency, which depends on where in the memory they read. */
  SHORT_KERNEL("kernels below 10 us", 0.12),
  /** Whole models on the GPU. */
  MODEL("models", 0.014),
  /** The slowest steps of these. */
  TAIL("p95, p99 of models", 0.046),
  /** Calls from Java and all of the CPU, which virtual machines share with others. */
  HOST("calls and the CPU", 0.17),
  /** Memory, the only figures of one sample. */
  BYTES("bytes", 0.012);

  private static final double SHORT_MICROSECONDS = 10;

  private final String label;
  private final double share;

  Reproducibility(String label, double share) {
    this.label = label;
    this.share = share;
  }

  /**
   * The sort of a figure.
   *
   * @param figure measured or imported
   * @return its sort
   */
  public static Reproducibility of(Measurement figure) {
    if (figure.kind() == Kind.MEMORY) {
      return BYTES;
    }
    if (figure.machine().driver().isEmpty() || isOfHost(figure)) {
      return HOST;
    }
    if (figure.origin() == Origin.IMPORTED) {
      return LIBRARY;
    }
    return switch (figure.kind()) {
      case CEILING -> CEILING;
      case KERNEL -> figure.value().median() < SHORT_MICROSECONDS ? SHORT_KERNEL : KERNEL;
      default -> figure.name().endsWith(".p95") || figure.name().endsWith(".p99") ? TAIL : MODEL;
    };
  }

  /** Figures of a GPU's machine that the CPU's work decides. */
  private static boolean isOfHost(Measurement figure) {
    return figure.kind() == Kind.CALL
        || figure.name().endsWith(".host")
        || figure.name().startsWith("load");
  }

  /**
   * Where another run's median is expected: from a figure's least sample to its most, and as much
   * beyond as its sort asks for.
   *
   * @param figure measured or imported
   * @return the same median and number of samples with wider ends
   */
  public static Spread range(Measurement figure) {
    double share = of(figure).share;
    Spread own = figure.value();
    return new Spread(
        own.median(), own.min() * (1 - share), own.max() * (1 + share), own.samples());
  }

  /**
   * What runs differ by.
   *
   * @return share of a figure
   */
  public double share() {
    return share;
  }

  /**
   * What it is of.
   *
   * @return words for a table
   */
  public String label() {
    return label;
  }
}
