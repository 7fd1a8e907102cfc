package dev.nibble.quantizer.calibration;

/** Gradients of {@link RowNorm}. */
final class NormGradient {
  private NormGradient() {}

  /**
   * RMSNorm: dx = r (dn - n mean(dn n)), dn = dy w, n = x r.
   *
   * @param dx receives it; may be dy
   */
  static void rms(
      float[] x, int from, int to, float[] weight, float epsilon, float[] dy, float[] dx) {
    int width = weight.length;
    for (int at = from * width; at < to * width; at += width) {
      float inverse = RowNorm.inverseRms(x, at, width, epsilon);
      double dot = 0;
      for (int i = 0; i < width; i++) {
        dot += (double) dy[at + i] * weight[i] * x[at + i];
      }
      float shared = (float) (dot * inverse / width);
      for (int i = 0; i < width; i++) {
        dx[at + i] = inverse * (dy[at + i] * weight[i] - x[at + i] * inverse * shared);
      }
    }
  }

  /** LayerNorm: dx = r (dn - mean(dn) - n mean(dn n)), n = (x - mean) r. */
  static void layer(
      float[] x, int from, int to, float[] weight, float epsilon, float[] dy, float[] dx) {
    int width = weight.length;
    for (int at = from * width; at < to * width; at += width) {
      float mean = RowNorm.mean(x, at, width);
      float inverse = RowNorm.inverseDeviation(x, at, width, mean, epsilon);
      double sum = 0;
      double dot = 0;
      for (int i = 0; i < width; i++) {
        double dn = (double) dy[at + i] * weight[i];
        sum += dn;
        dot += dn * (x[at + i] - mean);
      }
      float average = (float) (sum / width);
      float shared = (float) (dot * inverse / width);
      for (int i = 0; i < width; i++) {
        float n = (x[at + i] - mean) * inverse;
        dx[at + i] = inverse * (dy[at + i] * weight[i] - average - n * shared);
      }
    }
  }
}
