package dev.nibble.runtime.kernel;

import java.util.Random;

/** Orders of channels, as norms and rotations read them. */
final class Permutation {
  private Permutation() {}

  static short[] of(Random random, int count) {
    short[] order = new short[count];
    for (int i = 0; i < count; i++) {
      int j = random.nextInt(i + 1);
      order[i] = order[j];
      order[j] = (short) i;
    }
    return order;
  }

  /** Column i of the result is column order[i] of each row. */
  static float[] columns(float[] rows, short[] order) {
    float[] permuted = new float[rows.length];
    for (int i = 0; i < rows.length; i++) {
      int column = i % order.length;
      permuted[i] = rows[i - column + Short.toUnsignedInt(order[column])];
    }
    return permuted;
  }
}
