package dev.nibble.bench.kernel;

import java.util.Locale;

/** How near an operation's results must come to those of plain loops. */
final class Tolerance {
  /**
   * Largest error over the deviation of the results. Halves give a result 5e-4 of itself, at most
   * 2e-3 of the deviation; whoever reads a wrong weight is off by the deviation itself.
   */
  static final double LIMIT = 1e-2;

  private Tolerance() {}

  /**
   * Compares results.
   *
   * @param what they are, for the message
   * @param expected by plain loops
   * @param found as many
   * @param limit on the largest difference, over the root mean square of what is expected
   * @throws WrongResultException if a result is further off, or no number
   */
  static void require(String what, double[] expected, float[] found, double limit) {
    double squares = 0;
    for (double value : expected) {
      squares += value * value;
    }
    double deviation = Math.sqrt(squares / expected.length);
    for (int i = 0; i < expected.length; i++) {
      double error = Math.abs(found[i] - expected[i]) / deviation;
      if (!(error <= limit)) {
        throw new WrongResultException(
            String.format(
                Locale.ROOT,
                "%s: result %d is %g, expected %g (deviation %g)",
                what,
                i,
                found[i],
                expected[i],
                deviation));
      }
    }
  }
}
