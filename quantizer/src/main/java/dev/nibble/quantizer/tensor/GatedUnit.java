package dev.nibble.quantizer.tensor;

import static dev.nibble.quantizer.tensor.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;

/** SwiGLU, z = silu(gate) up, and its gradient, over ranges of elements. Needs the Vector API. */
public final class GatedUnit {
  private static final FloatVector ONE = Lanes.all(1f);

  private GatedUnit() {}

  /**
   * z = silu(gate) up.
   *
   * @param gate the gate
   * @param up as gate
   * @param z as gate; may be either
   * @param from first element
   * @param to one past the last
   */
  public static void forward(float[] gate, float[] up, float[] z, int from, int to) {
    int i = from;
    for (int bound = from + Lanes.bound(to - from); i < bound; i += Lanes.COUNT) {
      VectorMath.silu(Lanes.load(gate, i)).mul(Lanes.load(up, i)).intoArray(z, i);
    }
    if (i < to) {
      var rest = FLOATS.indexInRange(0, to - i);
      FloatVector g = FloatVector.fromArray(FLOATS, gate, i, rest);
      VectorMath.silu(g).mul(FloatVector.fromArray(FLOATS, up, i, rest)).intoArray(z, i, rest);
    }
  }

  /**
   * The gradient: dup = dz silu(g), dgate = dz up s (1 + g (1 - s)) with s = 1 / (1 + e^-g).
   *
   * @param gate of the forward pass
   * @param up of the forward pass
   * @param dz gradient of z
   * @param dgate receives the gradient of gate; may be dz
   * @param dup receives the gradient of up
   * @param from first element
   * @param to one past the last
   */
  public static void backward(
      float[] gate, float[] up, float[] dz, float[] dgate, float[] dup, int from, int to) {
    for (int i = from; i < to; i += Lanes.COUNT) {
      var some = FLOATS.indexInRange(i, to);
      FloatVector g = FloatVector.fromArray(FLOATS, gate, i, some);
      FloatVector u = FloatVector.fromArray(FLOATS, up, i, some);
      FloatVector d = FloatVector.fromArray(FLOATS, dz, i, some);
      FloatVector s = ONE.div(VectorMath.exp(g.neg()).add(ONE));
      FloatVector slope = ONE.sub(s).mul(g).add(ONE).mul(s);
      d.mul(g).mul(s).intoArray(dup, i, some);
      d.mul(u).mul(slope).intoArray(dgate, i, some);
    }
  }
}
