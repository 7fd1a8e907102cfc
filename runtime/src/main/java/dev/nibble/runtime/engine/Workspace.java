package dev.nibble.runtime.engine;

/** Buffers of a step, allocated once. Their sizes are in {@link WorkspaceShape}. */
final class Workspace {
  final WorkspaceShape shape;
  final int[] tokens;
  final int[] positions;

  /** Residual stream, [rows, hidden]. */
  final float[] x;

  /** Output of a norm, then of the linear that goes back to the residual, [rows, hidden]. */
  final float[] normed;

  /** [rows, queries]. */
  final float[] query;

  /** [rows, keys]. */
  final float[] key;

  /** [rows, keys]. */
  final float[] value;

  /** Output of the attention, [rows, queries]. */
  final float[] attended;

  /** [rows, inner]; empty where the MLP has no gate. */
  final float[] gate;

  /** [rows, inner]. */
  final float[] up;

  /** Norm output before its channels are permuted, [rows, hidden]. */
  final float[] unordered;

  /** [logitRows, vocab]. */
  final float[] logits;

  Workspace(WorkspaceShape shape) {
    this.shape = shape;
    int rows = shape.rows();
    tokens = new int[rows];
    positions = new int[rows];
    x = floats(rows, shape.hidden());
    normed = floats(rows, shape.hidden());
    query = floats(rows, shape.queries());
    key = floats(rows, shape.keys());
    value = floats(rows, shape.keys());
    attended = floats(rows, shape.queries());
    gate = floats(rows, shape.gated() ? shape.inner() : 0);
    up = floats(rows, shape.inner());
    unordered = floats(rows, shape.reordered() ? shape.hidden() : 0);
    logits = floats(shape.logitRows(), shape.vocab());
  }

  private static float[] floats(int rows, int width) {
    return new float[Math.multiplyExact(rows, width)];
  }
}
