package dev.nibble.quantizer.calibration;

/** RMSNorm and LayerNorm of rows, without bias. Sums are double, in the order of the channels. */
final class RowNorm {
  private RowNorm() {}

  /** 1 / sqrt(mean(x^2) + epsilon) of a row. */
  static float inverseRms(float[] x, int at, int width, float epsilon) {
    double squares = 0;
    for (int i = at; i < at + width; i++) {
      squares += (double) x[i] * x[i];
    }
    return (float) (1 / Math.sqrt(squares / width + epsilon));
  }

  /** Mean of a row. */
  static float mean(float[] x, int at, int width) {
    double sum = 0;
    for (int i = at; i < at + width; i++) {
      sum += x[i];
    }
    return (float) (sum / width);
  }

  /** 1 / sqrt(variance + epsilon) of a row. */
  static float inverseDeviation(float[] x, int at, int width, float mean, float epsilon) {
    double squares = 0;
    for (int i = at; i < at + width; i++) {
      double d = x[i] - mean;
      squares += d * d;
    }
    return (float) (1 / Math.sqrt(squares / width + epsilon));
  }

  static void rms(float[] x, int from, int to, float[] weight, float epsilon, float[] out) {
    int width = weight.length;
    for (int at = from * width; at < to * width; at += width) {
      float inverse = inverseRms(x, at, width, epsilon);
      for (int i = 0; i < width; i++) {
        out[at + i] = x[at + i] * inverse * weight[i];
      }
    }
  }

  static void layer(float[] x, int from, int to, float[] weight, float epsilon, float[] out) {
    int width = weight.length;
    for (int at = from * width; at < to * width; at += width) {
      float mean = mean(x, at, width);
      float inverse = inverseDeviation(x, at, width, mean, epsilon);
      for (int i = 0; i < width; i++) {
        out[at + i] = (x[at + i] - mean) * inverse * weight[i];
      }
    }
  }
}
