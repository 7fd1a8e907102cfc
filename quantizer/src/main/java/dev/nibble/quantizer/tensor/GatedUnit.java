package dev.nibble.quantizer.tensor;

/** SwiGLU, z = silu(gate) up, and its gradient, over ranges of elements. Needs the Vector API. */
public final class GatedUnit {
  /** Elements whose exponentials stay in the first cache until they are used. */
  private static final int RUN = 1024;

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
    float[] e = new float[RUN + Lanes.COUNT];
    for (int at = from; at < to; at += RUN) {
      int count = Math.min(RUN, to - at);
      VectorMath.negate(gate, at, count, e);
      VectorMath.exp(e, 0, count);
      for (int i = 0; i < count; i++) {
        z[at + i] = gate[at + i] / (e[i] + 1) * up[at + i];
      }
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
    float[] e = new float[RUN + Lanes.COUNT];
    for (int at = from; at < to; at += RUN) {
      int count = Math.min(RUN, to - at);
      VectorMath.negate(gate, at, count, e);
      VectorMath.exp(e, 0, count);
      for (int i = 0; i < count; i++) {
        float g = gate[at + i];
        float d = dz[at + i];
        float s = 1 / (e[i] + 1);
        float slope = ((1 - s) * g + 1) * s;
        dup[at + i] = d * g * s;
        dgate[at + i] = d * up[at + i] * slope;
      }
    }
  }
}
