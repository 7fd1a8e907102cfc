package dev.nibble.quantizer.tensor;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import org.jspecify.annotations.Nullable;

/**
 * Operations on one row of floats, vector by vector. Lanes are added up in a fixed order, because
 * that of the Vector API's own float reductions is left open. Each worker has its own instance.
 */
final class VectorRows {
  private final float[] lanes = new float[Lanes.COUNT];

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
    FloatVector sum = Lanes.all(0);
    int bound = Lanes.bound(width);
    for (int i = 0; i < bound; i += Lanes.COUNT) {
      sum = sum.add(Lanes.load(x, from + i));
    }
    if (bound < width) {
      sum = sum.add(Lanes.load(x, from + bound, Lanes.tail(width)));
    }
    return total(sum);
  }

  /** Sum of (x - mean)^2. */
  private double squares(float[] x, int from, int width, float mean) {
    FloatVector sum = Lanes.all(0);
    int bound = Lanes.bound(width);
    for (int i = 0; i < bound; i += Lanes.COUNT) {
      FloatVector d = Lanes.load(x, from + i).sub(mean);
      sum = d.fma(d, sum);
    }
    if (bound < width) {
      VectorMask<Float> tail = Lanes.tail(width);
      FloatVector d = Lanes.load(x, from + bound, tail).sub(mean);
      sum = d.fma(d, sum).blend(sum, tail.not());
    }
    return total(sum);
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

  private double total(FloatVector sum) {
    sum.intoArray(lanes, 0);
    double total = 0;
    for (float lane : lanes) {
      total += lane;
    }
    return total;
  }

  void softmax(float[] x, int from, int width) {
    int bound = Lanes.bound(width);
    VectorMask<Float> tail = Lanes.tail(width);
    FloatVector lowest = Lanes.all(Float.NEGATIVE_INFINITY);
    FloatVector max = lowest;
    for (int i = 0; i < bound; i += Lanes.COUNT) {
      max = max.max(Lanes.load(x, from + i));
    }
    if (bound < width) {
      max = max.max(lowest.blend(Lanes.load(x, from + bound, tail), tail));
    }
    float largest = max.reduceLanes(VectorOperators.MAX);
    FloatVector sum = Lanes.all(0);
    for (int i = 0; i < bound; i += Lanes.COUNT) {
      FloatVector e = VectorMath.exp(Lanes.load(x, from + i).sub(largest));
      e.intoArray(x, from + i);
      sum = sum.add(e);
    }
    if (bound < width) {
      FloatVector e = VectorMath.exp(Lanes.load(x, from + bound, tail).sub(largest));
      e.intoArray(x, from + bound, tail);
      sum = sum.add(Lanes.all(0).blend(e, tail));
    }
    float total = (float) total(sum);
    for (int i = from; i < from + width; i++) {
      x[i] /= total;
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
    Lanes.all(Float.NEGATIVE_INFINITY).intoArray(x, to);
    FloatVector max = Lanes.load(x, from);
    for (int i = from + Lanes.COUNT; i < to; i += Lanes.COUNT) {
      max = max.max(Lanes.load(x, i));
    }
    float largest = max.reduceLanes(VectorOperators.MAX);
    FloatVector sum = Lanes.all(0);
    for (int i = from; i < to; i += Lanes.COUNT) {
      FloatVector e = VectorMath.exp(Lanes.load(x, i).sub(largest));
      e.intoArray(x, i);
      sum = sum.add(e);
    }
    return (float) total(sum);
  }

  static void swiGlu(float[] gate, float[] up, int from, int to) {
    int length = to - from;
    int bound = from + Lanes.bound(length);
    for (int i = from; i < bound; i += Lanes.COUNT) {
      VectorMath.silu(Lanes.load(gate, i)).mul(Lanes.load(up, i)).intoArray(gate, i);
    }
    if (bound < to) {
      VectorMask<Float> tail = Lanes.tail(length);
      FloatVector silu = VectorMath.silu(Lanes.load(gate, bound, tail));
      silu.mul(Lanes.load(up, bound, tail)).intoArray(gate, bound, tail);
    }
  }

  static void gelu(float[] x, int from, int to) {
    int length = to - from;
    int bound = from + Lanes.bound(length);
    for (int i = from; i < bound; i += Lanes.COUNT) {
      VectorMath.gelu(Lanes.load(x, i)).intoArray(x, i);
    }
    if (bound < to) {
      VectorMask<Float> tail = Lanes.tail(length);
      VectorMath.gelu(Lanes.load(x, bound, tail)).intoArray(x, bound, tail);
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
