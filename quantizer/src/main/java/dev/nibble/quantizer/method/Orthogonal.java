package dev.nibble.quantizer.method;

import java.util.Random;

/** Random orthogonal matrices [n, n] that spread an outlier over all channels. */
final class Orthogonal {
  private Orthogonal() {}

  /**
   * A Hadamard matrix with random signs; where n is no power of two, its Kronecker product with a
   * random orthogonal matrix of the odd factor.
   */
  static double[] hadamard(int n, Random random) {
    int power = Integer.lowestOneBit(n);
    int odd = n / power;
    double[] outer = gramSchmidt(odd, random);
    double[] matrix = new double[Math.multiplyExact(n, n)];
    double scale = 1 / Math.sqrt(power);
    for (int i = 0; i < n; i++) {
      double sign = random.nextBoolean() ? scale : -scale;
      for (int j = 0; j < n; j++) {
        int flips = Integer.bitCount((i % power) & (j % power));
        double entry = sign * outer[(i / power) * odd + j / power];
        matrix[i * n + j] = flips % 2 == 0 ? entry : -entry;
      }
    }
    return matrix;
  }

  /**
   * One that leaves the vector of ones as it is, so that it keeps the mean a LayerNorm subtracts: a
   * matrix of the other n - 1 dimensions, in a basis whose first vector is that of ones.
   */
  static double[] fixingOnes(int n, Random random) {
    double[] matrix = new double[Math.multiplyExact(n, n)];
    matrix[0] = 1;
    if (n > 1) {
      double[] inner = hadamard(n - 1, random);
      for (int i = 1; i < n; i++) {
        System.arraycopy(inner, (i - 1) * (n - 1), matrix, i * n + 1, n - 1);
      }
    }
    double[] v = new double[n];
    for (int i = 0; i < n; i++) {
      v[i] = (i == 0 ? 1 : 0) - 1 / Math.sqrt(n);
    }
    return n == 1 ? matrix : reflect(transpose(reflect(transpose(matrix, n), v)), v);
  }

  /** (I - 2 v v^T / v^T v) m. */
  private static double[] reflect(double[] m, double[] v) {
    int n = v.length;
    double norm = 0;
    for (double x : v) {
      norm += x * x;
    }
    double[] sums = new double[n];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        sums[j] += v[i] * m[i * n + j];
      }
    }
    double[] reflected = new double[m.length];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        reflected[i * n + j] = m[i * n + j] - 2 * v[i] * sums[j] / norm;
      }
    }
    return reflected;
  }

  private static double[] transpose(double[] m) {
    return transpose(m, (int) Math.sqrt(m.length));
  }

  private static double[] transpose(double[] m, int n) {
    double[] turned = new double[m.length];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        turned[j * n + i] = m[i * n + j];
      }
    }
    return turned;
  }

  /** Rows of Gaussians, each made orthogonal to those before it, twice for the rounding. */
  private static double[] gramSchmidt(int n, Random random) {
    double[] q = new double[Math.multiplyExact(n, n)];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        q[i * n + j] = random.nextGaussian();
      }
      for (int pass = 0; pass < 2; pass++) {
        for (int k = 0; k < i; k++) {
          subtract(q, n, i, k, dot(q, n, i, k));
        }
      }
      double norm = Math.sqrt(dot(q, n, i, i));
      for (int j = 0; j < n; j++) {
        q[i * n + j] /= norm;
      }
    }
    return q;
  }

  private static double dot(double[] q, int n, int row, int other) {
    double sum = 0;
    for (int j = 0; j < n; j++) {
      sum += q[row * n + j] * q[other * n + j];
    }
    return sum;
  }

  private static void subtract(double[] q, int n, int row, int other, double share) {
    for (int j = 0; j < n; j++) {
      q[row * n + j] -= share * q[other * n + j];
    }
  }
}
