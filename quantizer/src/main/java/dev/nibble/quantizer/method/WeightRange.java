package dev.nibble.quantizer.method;

/**
 * The range that the codes of a group of weights span; 0 lies in it.
 *
 * @param min at most 0
 * @param max at least 0
 */
record WeightRange(float min, float max) {
  /** The range of weights [begin, end), and 0. */
  static WeightRange of(float[] weights, int begin, int end) {
    float min = 0;
    float max = 0;
    for (int i = begin; i < end; i++) {
      min = Math.min(min, weights[i]);
      max = Math.max(max, weights[i]);
    }
    return new WeightRange(min, max);
  }

  /** Both ends brought closer to 0. */
  WeightRange cutTo(float share) {
    return new WeightRange(min * share, max * share);
  }
}
