package dev.nibble.quantizer.tensor;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import org.jspecify.annotations.Nullable;

/**
 * Operations on one row of floats, vector by vector. Lanes are added up in a fixed order, because
 * that of the Vector API's own float reductions is left open. Each worker has its own instance.
 */
final class VectorRows {
  private final float[] lanes = new float[Lanes.COUNT];

  /** The elements after the whole vectors of a run, and those of a second operand. */
  private final float[] rest = new float[Lanes.COUNT];

  private final float[] otherRest = new float[Lanes.COUNT];

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
    FloatVector sum = Lanes.all(0);
    for (int i = 0; i < bound; i += Lanes.COUNT) {
      sum = sum.add(Lanes.load(x, from + i));
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
    FloatVector sum = Lanes.all(0);
    for (int i = 0; i < bound; i += Lanes.COUNT) {
      FloatVector d = Lanes.load(x, from + i).sub(mean);
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
      FloatVector d = Lanes.load(x, from + i).sub(mean).mul(scale);
      d.mul(Lanes.load(weight, i)).intoArray(y, from + i);
    }
    for (int i = bound; i < width; i++) {
      y[from + i] = (x[from + i] - mean) * scale * weight[i];
    }
  }

  /** Adds {@link #lanes} up; given a vector instead, it would have to be inlined everywhere. */
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
    FloatVector max = Lanes.all(Float.NEGATIVE_INFINITY);
    for (int i = from; i < to; i += Lanes.COUNT) {
      max = max.max(Lanes.load(x, i));
    }
    float largest = max.reduceLanes(VectorOperators.MAX);
    FloatVector sum = Lanes.all(0);
    for (int i = from; i < to; i += Lanes.COUNT) {
      FloatVector e = VectorMath.exp(Lanes.load(x, i).sub(largest));
      e.intoArray(x, i);
      sum = sum.add(e);
    }
    sum.intoArray(lanes, 0);
    return (float) total();
  }

  // The last vector, when it is not whole, goes through an array of one vector inside the same
  // loop:
  // a mask, or the same function called a second time, is more than the compiler keeps in
  // registers, and then every step allocates.

  void swiGlu(float[] gate, float[] up, int from, int to) {
    float[] x = gate;
    float[] y = up;
    int at = from;
    for (int left = to - from; left > 0; left -= Lanes.COUNT) {
      if (left < Lanes.COUNT) {
        System.arraycopy(gate, to - left, rest, 0, left);
        System.arraycopy(up, to - left, otherRest, 0, left);
        x = rest;
        y = otherRest;
        at = 0;
      }
      VectorMath.silu(Lanes.load(x, at)).mul(Lanes.load(y, at)).intoArray(x, at);
      at += Lanes.COUNT;
    }
    restore(x, gate, from, to);
  }

  void gelu(float[] values, int from, int to) {
    float[] x = values;
    int at = from;
    for (int left = to - from; left > 0; left -= Lanes.COUNT) {
      if (left < Lanes.COUNT) {
        System.arraycopy(values, to - left, rest, 0, left);
        x = rest;
        at = 0;
      }
      VectorMath.gelu(Lanes.load(x, at)).intoArray(x, at);
      at += Lanes.COUNT;
    }
    restore(x, values, from, to);
  }

  private void restore(float[] x, float[] values, int from, int to) {
    if (x == rest) {
      int left = to - from - Lanes.bound(to - from);
      System.arraycopy(rest, 0, values, to - left, left);
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
      FloatVector cosine = Lanes.load(cosines, table + i);
      FloatVector sine = Lanes.load(sines, table + i);
      FloatVector a = Lanes.load(x, first + i);
      FloatVector b = Lanes.load(x, first + half + i);
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
