package dev.nibble.runtime;

/** How far logits are from others. */
public final class LogitErrors {
  private LogitErrors() {}

  /** Standard deviation of what one differs from the other by. */
  public static double deviation(float[] expected, float[] found) {
    double sum = 0;
    for (int i = 0; i < expected.length; i++) {
      double difference = found[i] - expected[i];
      sum += difference * difference;
    }
    return Math.sqrt(sum / expected.length);
  }

  /** Squared error over squares. */
  public static double error(float[] expected, float[] found) {
    if (expected.length != found.length) {
      throw new IllegalArgumentException(found.length + " logits for " + expected.length);
    }
    double error = 0;
    double squares = 0;
    for (int i = 0; i < expected.length; i++) {
      double difference = (double) found[i] - expected[i];
      error += difference * difference;
      squares += (double) expected[i] * expected[i];
    }
    return error / squares;
  }
}
