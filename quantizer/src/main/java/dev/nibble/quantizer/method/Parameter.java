package dev.nibble.quantizer.method;

import dev.nibble.quantizer.tensor.WorkerThreads;

/**
 * Trained numbers, their gradient, and AdamW's state (Loshchilov and Hutter 2019): beta 0.9 and
 * 0.999, epsilon 1e-8, no weight decay unless it is asked for.
 */
final class Parameter {
  /** Numbers that one thread moves at a time. */
  private static final int RUN = 4096;

  private static final double BETA1 = 0.9;
  private static final double BETA2 = 0.999;
  private static final double EPSILON = 1e-8;

  final float[] value;
  final float[] gradient;
  private final float[] mean;
  private final float[] square;
  private double decay1 = 1;
  private double decay2 = 1;

  Parameter(float[] value) {
    this.value = value;
    gradient = new float[value.length];
    mean = new float[value.length];
    square = new float[value.length];
  }

  /** Takes a step down the gradient. */
  void step(double rate, WorkerThreads workers) {
    decay1 *= BETA1;
    decay2 *= BETA2;
    double size = rate / (1 - decay1);
    double unbias = 1 / (1 - decay2);
    workers.run(
        Math.ceilDiv(value.length, RUN),
        (from, to, worker) -> move(from * RUN, Math.min(to * RUN, value.length), size, unbias));
  }

  private void move(int from, int to, double size, double unbias) {
    for (int i = from; i < to; i++) {
      float g = gradient[i];
      float m = (float) (BETA1 * mean[i] + (1 - BETA1) * g);
      float v = (float) (BETA2 * square[i] + (1 - BETA2) * g * g);
      mean[i] = m;
      square[i] = v;
      value[i] -= (float) (size * m / (Math.sqrt(v * unbias) + EPSILON));
    }
  }
}
