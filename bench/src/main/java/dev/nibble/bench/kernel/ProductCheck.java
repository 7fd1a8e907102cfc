package dev.nibble.bench.kernel;

import dev.nibble.runtime.cuda.DeviceRange;
import java.util.Arrays;
import java.util.stream.IntStream;

/** Products against plain loops in double precision: some rows of the first, middle, last token. */
final class ProductCheck {
  private ProductCheck() {}

  /**
   * Compares.
   *
   * @param what is checked, for the message
   * @param linear weights
   * @param inputs of all tokens
   * @param results halves [tokens, rows]
   * @throws WrongResultException if one is off
   */
  static void require(
      Workbench bench, String what, HostLinear linear, HostInputs inputs, DeviceRange results) {
    int[] tokens = spread(inputs.tokens());
    int[] blocks = spread(linear.rows() / HostLinear.BLOCK);
    double[][][] weights =
        Arrays.stream(blocks)
            .parallel()
            .mapToObj(b -> linear.block(b * HostLinear.BLOCK))
            .toArray(double[][][]::new);
    for (int token : tokens) {
      long rowBytes = (long) Short.BYTES * linear.rows();
      float[] found = bench.readHalves(results.slice(token * rowBytes, rowBytes));
      double[] x = inputs.token(token, linear.scheme().activationBits());
      for (int b = 0; b < blocks.length; b++) {
        int first = blocks[b] * HostLinear.BLOCK;
        double[] expected = times(weights[b], x);
        Tolerance.require(
            what + " tokens, token " + token + ", rows from " + first,
            expected,
            Arrays.copyOfRange(found, first, first + HostLinear.BLOCK),
            Tolerance.LIMIT);
      }
    }
  }

  /** Some rows of weights times a token. */
  static double[] times(double[][] rows, double[] x) {
    return Arrays.stream(rows).mapToDouble(row -> dot(row, x)).toArray();
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  /** First, middle and last of so many. */
  static int[] spread(int count) {
    return IntStream.of(0, count / 2, count - 1).distinct().toArray();
  }
}
