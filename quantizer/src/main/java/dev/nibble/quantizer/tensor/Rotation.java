package dev.nibble.quantizer.tensor;

/** Rotary embedding of rows that repeat the same positions, and its transpose. */
public final class Rotation {
  private final RotaryEmbedding rope;
  private final int context;
  private final int heads;

  /**
   * Creates a rotation.
   *
   * @param rope the tables, in their natural order
   * @param context row t has position t mod context
   * @param heads heads of a row
   */
  public Rotation(RotaryEmbedding rope, int context, int heads) {
    if (context > rope.positions()) {
      throw new IllegalArgumentException(
          "context " + context + ": the tables have " + rope.positions() + " positions");
    }
    this.rope = rope;
    this.context = context;
    this.heads = heads;
  }

  /**
   * Rotates rows in place, rotate-half form.
   *
   * @param x [rows, heads x headDim]
   * @param from first row
   * @param to one past the last
   */
  public void forward(float[] x, int from, int to) {
    turn(x, from, to, 1);
  }

  /**
   * Takes the gradient of rotated rows back, in place.
   *
   * @param dx [rows, heads x headDim]
   * @param from first row
   * @param to one past the last
   */
  public void backward(float[] dx, int from, int to) {
    turn(dx, from, to, -1);
  }

  private void turn(float[] x, int from, int to, float direction) {
    int half = rope.headDim() / 2;
    float[] cosines = rope.cosines();
    float[] sines = rope.sines();
    for (int row = from; row < to; row++) {
      int table = row % context * half;
      for (int head = 0; head < heads; head++) {
        int at = (row * heads + head) * 2 * half;
        for (int i = 0; i < half; i++) {
          float a = x[at + i];
          float b = x[at + half + i];
          float sine = direction * sines[table + i];
          x[at + i] = a * cosines[table + i] - b * sine;
          x[at + half + i] = b * cosines[table + i] + a * sine;
        }
      }
    }
  }
}
