package dev.nibble.bench.kernel;

import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * Random inputs of a linear, halves.
 *
 * @param tokens rows
 * @param columns of a token
 * @param values tokens x columns
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
record HostInputs(int tokens, int columns, float[] values) {
  private static final float LEAST_STEP = 1e-5f;
  private static final float MOST_STEP = 1e4f;

  static HostInputs random(int tokens, int columns, long seed) {
    float[] values = new float[Math.multiplyExact(tokens, columns)];
    IntStream.range(0, tokens)
        .parallel()
        .forEach(token -> {
          SplittableRandom random = new SplittableRandom(seed + token);
          for (int i = token * columns; i < (token + 1) * columns; i++) {
            values[i] = Float.float16ToFloat(Float.floatToFloat16((float) random.nextGaussian()));
          }
        });
    return new HostInputs(tokens, columns, values);
  }

  /**
   * What the product of a token is made of.
   *
   * @param token row
   * @param bits that it is rounded to, from its least to its most; 16 for not
   */
  double[] token(int token, int bits) {
    double[] row = new double[columns];
    float min = Float.POSITIVE_INFINITY;
    float max = Float.NEGATIVE_INFINITY;
    for (int c = 0; c < columns; c++) {
      float value = values[token * columns + c];
      row[c] = value;
      min = Math.min(min, value);
      max = Math.max(max, value);
    }
    if (bits < 16) {
      int most = (1 << bits) - 1;
      float step = Math.clamp((max - min) / most, LEAST_STEP, MOST_STEP);
      float zero = (float) Math.rint(-min / step);
      for (int c = 0; c < columns; c++) {
        float code = (float) Math.rint(values[token * columns + c] / step) + zero;
        row[c] = (double) (Math.clamp(code, 0f, (float) most) - zero) * step;
      }
    }
    return row;
  }
}
