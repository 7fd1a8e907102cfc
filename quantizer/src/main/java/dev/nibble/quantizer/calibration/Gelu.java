package dev.nibble.quantizer.calibration;

/** GELU, x times the normal distribution's P(X &lt; x), and its slope. */
final class Gelu {
  private static final double ROOT_HALF = Math.sqrt(0.5);
  private static final double DENSITY = 1 / Math.sqrt(2 * Math.PI);

  private Gelu() {}

  static float value(float x) {
    return (float) (x * probability(x));
  }

  static float slope(float x) {
    return (float) (probability(x) + x * DENSITY * Math.exp(-0.5 * x * x));
  }

  /** Within 1e-7 (Abramowitz and Stegun, 7.1.26). */
  private static double probability(double x) {
    double z = Math.abs(x) * ROOT_HALF;
    double t = 1 / (1 + 0.3275911 * z);
    double p =
        t
            * (0.254829592
                + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    double tail = p * Math.exp(-z * z) / 2;
    return x < 0 ? tail : 1 - tail;
  }
}
