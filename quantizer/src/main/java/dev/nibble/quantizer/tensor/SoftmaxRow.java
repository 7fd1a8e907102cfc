package dev.nibble.quantizer.tensor;

import static dev.nibble.quantizer.tensor.Lanes.FLOATS;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Softmax of one row of scores, of which those from {@code begin} to {@code end} - 1 count. Lanes
 * are added up in a fixed order. Each worker has its own instance.
 */
final class SoftmaxRow {
  private final float[] lanes = new float[Lanes.COUNT];

  /**
   * x = softmax(scale x) between begin and end, 0 elsewhere.
   *
   * @param row where the row begins
   * @param last where it ends
   * @return logarithm of the sum of the exponentials
   */
  float forward(float[] x, int row, int begin, int end, int last, float scale) {
    float max = Float.NEGATIVE_INFINITY;
    FloatVector most = FloatVector.broadcast(FLOATS, max);
    int i = begin;
    for (int bound = begin + Lanes.bound(end - begin); i < bound; i += Lanes.COUNT) {
      most = most.max(FloatVector.fromArray(FLOATS, x, i));
    }
    max = most.reduceLanes(VectorOperators.MAX);
    for (; i < end; i++) {
      max = Math.max(max, x[i]);
    }
    max *= scale;
    exponentials(x, begin, end, scale, max);
    double sum = sum(x, begin, end);
    float inverse = (float) (1 / sum);
    for (int j = begin; j < end; j++) {
      x[j] *= inverse;
    }
    Arrays.fill(x, row, begin, 0f);
    Arrays.fill(x, end, last, 0f);
    return (float) (max + Math.log(sum));
  }

  /**
   * From scores and the gradient of their probabilities p: x = p, dx = the gradient of the scores
   * before scaling, p (dx - sum(dx p)) scale.
   */
  void backward(
      float[] x, float[] dx, int row, int begin, int end, int last, float scale, float logSum) {
    exponentials(x, begin, end, scale, logSum);
    FloatVector sums = FloatVector.broadcast(FLOATS, 0);
    int i = begin;
    for (int bound = begin + Lanes.bound(end - begin); i < bound; i += Lanes.COUNT) {
      sums = FloatVector.fromArray(FLOATS, x, i).fma(FloatVector.fromArray(FLOATS, dx, i), sums);
    }
    sums.intoArray(lanes, 0);
    float dot = (float) total();
    for (; i < end; i++) {
      dot += x[i] * dx[i];
    }
    for (int j = begin; j < end; j++) {
      dx[j] = x[j] * (dx[j] - dot) * scale;
    }
    Arrays.fill(x, row, begin, 0f);
    Arrays.fill(x, end, last, 0f);
    Arrays.fill(dx, row, begin, 0f);
    Arrays.fill(dx, end, last, 0f);
  }

  /** x = e^(scale x - shift). The last vector may hold what is not used, so it is made apart. */
  private void exponentials(float[] x, int begin, int end, float scale, float shift) {
    for (int i = begin; i < end; i++) {
      x[i] = x[i] * scale - shift;
    }
    int bound = begin + Lanes.bound(end - begin);
    VectorMath.exp(x, begin, bound);
    System.arraycopy(x, bound, lanes, 0, end - bound);
    VectorMath.exp(lanes, 0, end - bound);
    System.arraycopy(lanes, 0, x, bound, end - bound);
  }

  private double sum(float[] x, int begin, int end) {
    FloatVector sums = FloatVector.broadcast(FLOATS, 0);
    int i = begin;
    for (int bound = begin + Lanes.bound(end - begin); i < bound; i += Lanes.COUNT) {
      sums = sums.add(FloatVector.fromArray(FLOATS, x, i));
    }
    sums.intoArray(lanes, 0);
    double sum = total();
    for (; i < end; i++) {
      sum += x[i];
    }
    return sum;
  }

  /** Adds {@link #lanes} up. */
  private double total() {
    double total = 0;
    for (float lane : lanes) {
      total += lane;
    }
    return total;
  }
}
