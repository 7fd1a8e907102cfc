package dev.nibble.quantizer.tensor;

import static dev.nibble.quantizer.tensor.Lanes.FLOATS;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import org.jspecify.annotations.Nullable;

/**
 * Operations on one row of floats, vector by vector. Lanes are added up in a fixed order, because
 * that of the Vector API's own float reductions is left open. Each worker has its own instance.
 */
final class VectorRows {
  /** Elements whose exponentials stay in the first cache until they are used. */
  private static final int RUN = 1024;

  private final float[] lanes = new float[Lanes.COUNT];

  /** Exponentials of a run, with room for a vector past the last. */
  private final float[] exponentials = new float[RUN + Lanes.COUNT];

  private float[] scores = {};

  /** Of one position, in the order of a head's pairs. */
  private float[] cosines = {};

  private float[] sines = {};

  void rmsNorm(float[] x, int from, float[] weight, float epsilon, float[] y) {
    int width = weight.length;
    double squares = squares(x, from, width, 0);
    scale(x, from, 0, weight, (float) (1 / Math.sqrt(squares / width + epsilon)), y);
  }

  void layerNorm(float[] x, int from, float[] weight, float[] bias, float epsilon, float[] y) {
    int width = weight.length;
    float mean = (float) (sum(x, from, width) / width);
    double squares = squares(x, from, width, mean);
    scale(x, from, mean, weight, (float) (1 / Math.sqrt(squares / width + epsilon)), y);
    for (int i = 0; i < width; i++) {
      y[from + i] += bias[i];
    }
  }

  private double sum(float[] x, int from, int width) {
    int bound = Lanes.bound(width);
    FloatVector sum = FloatVector.broadcast(FLOATS, 0);
    for (int i = 0; i < bound; i += Lanes.COUNT) {
      sum = sum.add(FloatVector.fromArray(FLOATS, x, from + i));
    }
    sum.intoArray(lanes, 0);
    double total = total();
    for (int i = bound; i < width; i++) {
      total += x[from + i];
    }
    return total;
  }

  /** Sum of (x - mean)^2. */
  private double squares(float[] x, int from, int width, float mean) {
    int bound = Lanes.bound(width);
    FloatVector sum = FloatVector.broadcast(FLOATS, 0);
    for (int i = 0; i < bound; i += Lanes.COUNT) {
      FloatVector d = FloatVector.fromArray(FLOATS, x, from + i).sub(mean);
      sum = d.fma(d, sum);
    }
    sum.intoArray(lanes, 0);
    double total = total();
    for (int i = bound; i < width; i++) {
      float d = x[from + i] - mean;
      total += d * d;
    }
    return total;
  }

  /** y = (x - mean) * scale * weight. */
  private static void scale(
      float[] x, int from, float mean, float[] weight, float scale, float[] y) {
    int width = weight.length;
    int bound = Lanes.bound(width);
    for (int i = 0; i < bound; i += Lanes.COUNT) {
      FloatVector d = FloatVector.fromArray(FLOATS, x, from + i).sub(mean).mul(scale);
      d.mul(FloatVector.fromArray(FLOATS, weight, i)).intoArray(y, from + i);
    }
    for (int i = bound; i < width; i++) {
      y[from + i] = (x[from + i] - mean) * scale * weight[i];
    }
  }

  /** Adds {@link #lanes} up. */
  private double total() {
    double total = 0;
    for (float lane : lanes) {
      total += lane;
    }
    return total;
  }

  void softmax(float[] x, int from, int width) {
    if (scores.length < width + Lanes.COUNT) {
      scores = new float[Math.addExact(width, Lanes.COUNT)];
    }
    System.arraycopy(x, from, scores, 0, width);
    float total = exponentials(scores, 0, width);
    for (int i = 0; i < width; i++) {
      x[from + i] = scores[i] / total;
    }
  }

  /**
   * Replaces scores by exp(score - largest).
   *
   * @param x scores, with room for a vector past the last
   * @param from first score
   * @param to one past the last
   * @return the sum of what it wrote
   */
  float exponentials(float[] x, int from, int to) {
    Arrays.fill(x, to, to + Lanes.COUNT, Float.NEGATIVE_INFINITY);
    FloatVector max = FloatVector.broadcast(FLOATS, Float.NEGATIVE_INFINITY);
    for (int i = from; i < to; i += Lanes.COUNT) {
      max = max.max(FloatVector.fromArray(FLOATS, x, i));
    }
    float largest = max.reduceLanes(VectorOperators.MAX);
    for (int i = from; i < to; i += Lanes.COUNT) {
      FloatVector.fromArray(FLOATS, x, i).sub(largest).intoArray(x, i);
    }
    VectorMath.exp(x, from, to);
    FloatVector sum = FloatVector.broadcast(FLOATS, 0);
    for (int i = from; i < to; i += Lanes.COUNT) {
      sum = sum.add(FloatVector.fromArray(FLOATS, x, i));
    }
    sum.intoArray(lanes, 0);
    return (float) total();
  }

  void swiGlu(float[] gate, float[] up, int from, int to) {
    for (int at = from; at < to; at += RUN) {
      int count = Math.min(RUN, to - at);
      VectorMath.negate(gate, at, count, exponentials);
      VectorMath.exp(exponentials, 0, count);
      VectorMath.swiGlu(gate, up, at, count, exponentials);
    }
  }

  void gelu(float[] x, int from, int to) {
    for (int at = from; at < to; at += RUN) {
      int count = Math.min(RUN, to - at);
      VectorMath.negateHalfSquares(x, at, count, exponentials);
      VectorMath.exp(exponentials, 0, count);
      VectorMath.gelu(x, at, count, exponentials);
    }
  }

  /**
   * Turns one head.
   *
   * @param order frequency of each pair; null for the natural order
   */
  void rotate(float[] x, int first, RotaryEmbedding rope, int position, int @Nullable [] order) {
    int half = rope.headDim() / 2;
    int table = position * half;
    if (order == null) {
      rotate(x, first, half, rope.cosines(), rope.sines(), table);
      return;
    }
    if (cosines.length < half) {
      cosines = new float[half];
      sines = new float[half];
    }
    for (int i = 0; i < half; i++) {
      cosines[i] = rope.cosines()[table + order[i]];
      sines[i] = rope.sines()[table + order[i]];
    }
    rotate(x, first, half, cosines, sines, 0);
  }

  private static void rotate(
      float[] x, int first, int half, float[] cosines, float[] sines, int table) {
    int bound = Lanes.bound(half);
    for (int i = 0; i < bound; i += Lanes.COUNT) {
      FloatVector cosine = FloatVector.fromArray(FLOATS, cosines, table + i);
      FloatVector sine = FloatVector.fromArray(FLOATS, sines, table + i);
      FloatVector a = FloatVector.fromArray(FLOATS, x, first + i);
      FloatVector b = FloatVector.fromArray(FLOATS, x, first + half + i);
      a.mul(cosine).sub(b.mul(sine)).intoArray(x, first + i);
      b.mul(cosine).add(a.mul(sine)).intoArray(x, first + half + i);
    }
    for (int i = bound; i < half; i++) {
      float cosine = cosines[table + i];
      float sine = sines[table + i];
      float a = x[first + i];
      float b = x[first + half + i];
      x[first + i] = a * cosine - b * sine;
      x[first + half + i] = b * cosine + a * sine;
    }
  }
}
