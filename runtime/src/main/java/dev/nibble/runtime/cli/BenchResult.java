package dev.nibble.runtime.cli;

import java.util.Arrays;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;

/**
 * What a measurement gave.
 *
 * @param test the measurement
 * @param nanos time of each run
 * @param callNanos time of each prefill, which is that to a sequence's first token, or of each
 *     decode step, in which every sequence gets a token
 * @param waitedNanos time that the decode steps of each run together waited for a device
 */
@SuppressWarnings("ArrayRecordComponent") // samples, never compared
record BenchResult(BenchTest test, long[] nanos, long[] callNanos, long[] waitedNanos) {
  /** Speed of each run, in tokens a second. */
  double[] speeds() {
    return Arrays.stream(nanos).mapToDouble(n -> test.tokens() * 1e9 / n).toArray();
  }

  /** The time that this share of the calls does not exceed. */
  long percentileNanos(double share) {
    return percentile(callNanos.clone(), share);
  }

  /** The same for the calls of each run. */
  long[] percentilesNanos(double share) {
    int calls = callNanos.length / nanos.length;
    return IntStream.range(0, nanos.length)
        .mapToLong(
            run -> percentile(Arrays.copyOfRange(callNanos, run * calls, (run + 1) * calls), share))
        .toArray();
  }

  private static long percentile(long[] values, double share) {
    Arrays.sort(values);
    return values[Math.max(0, (int) Math.ceil(share * values.length) - 1)];
  }

  /**
   * What a decode step of each run costs the host besides waiting; none if no device is waited for.
   */
  long[] hostNanos() {
    int calls = callNanos.length / nanos.length;
    return IntStream.range(0, nanos.length)
        .filter(run -> waitedNanos[run] > 0)
        .mapToLong(run -> (nanos[run] - waitedNanos[run]) / calls)
        .toArray();
  }

  double meanNanos() {
    return Arrays.stream(nanos).average().orElse(0);
  }

  double nanosDeviation() {
    return deviation(Arrays.stream(nanos).asDoubleStream().toArray());
  }

  double meanSpeed() {
    return DoubleStream.of(speeds()).average().orElse(0);
  }

  double speedDeviation() {
    return deviation(speeds());
  }

  /** The sample's standard deviation; 0 for a single value. */
  private static double deviation(double[] values) {
    if (values.length < 2) {
      return 0;
    }
    double mean = DoubleStream.of(values).average().orElse(0);
    double squares = DoubleStream.of(values).map(v -> (v - mean) * (v - mean)).sum();
    return Math.sqrt(squares / (values.length - 1));
  }
}
