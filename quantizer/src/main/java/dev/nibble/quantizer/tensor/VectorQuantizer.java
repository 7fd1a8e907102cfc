package dev.nibble.quantizer.tensor;

import static dev.nibble.quantizer.tensor.Lanes.FLOATS;
import static dev.nibble.quantizer.tensor.VectorMath.ROUNDER;
import static jdk.incubator.vector.VectorOperators.F2I;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * {@link RowQuantizer} a vector at a time, bit for bit the same. Each worker has its own instance.
 */
final class VectorQuantizer {
  private int[] codes = {};
  private float min;
  private float max;

  void quantize(float[] x, int from, QuantizedActivations out, int token) {
    int width = out.width();
    int half = 1 << (out.bits() - 1);
    range(x, from, width);
    float step =
        out.symmetric()
            ? RowQuantizer.symmetricStep(min, max, out.bits())
            : RowQuantizer.step(min, max, out.bits());
    float zero = out.symmetric() ? half : RowQuantizer.zero(min, step);
    encode(x, from, width, step, zero, 2 * half - 1);
    out.scales[token] = step;
    out.zeros[token] = zero - half;
    store(out, token, half);
  }

  void quantizeStatic(
      float[] x,
      int from,
      int bits,
      float[] scales,
      int[] zeros,
      QuantizedActivations out,
      int token) {
    int width = out.width();
    int half = 1 << (bits - 1);
    reserve(width);
    for (int i = 0; i < width; i += TensorOperations.CLUSTER_COLUMNS) {
      int c = i / TensorOperations.CLUSTER_COLUMNS;
      int end = Math.min(width, i + TensorOperations.CLUSTER_COLUMNS);
      encodeBounded(x, from, i, end, scales[c], zeros[c], 2 * half - 1);
    }
    out.scales[token] = 1;
    out.zeros[token] = 0;
    store(out, token, half);
  }

  void fakeQuantize(float[] x, int from, int width, int bits) {
    range(x, from, width);
    float step = RowQuantizer.step(min, max, bits);
    float zero = RowQuantizer.zero(min, step);
    encode(x, from, width, step, zero, (1 << bits) - 1);
    for (int i = 0; i < width; i++) {
      x[from + i] = (codes[i] - zero) * step;
    }
  }

  /** The smallest and the largest; NaN if there is one. */
  private void range(float[] x, int from, int width) {
    int bound = Lanes.bound(width);
    FloatVector low = FloatVector.broadcast(FLOATS, Float.POSITIVE_INFINITY);
    FloatVector high = FloatVector.broadcast(FLOATS, Float.NEGATIVE_INFINITY);
    for (int i = 0; i < bound; i += Lanes.COUNT) {
      FloatVector v = FloatVector.fromArray(FLOATS, x, from + i);
      low = low.min(v);
      high = high.max(v);
    }
    min = low.reduceLanes(VectorOperators.MIN);
    max = high.reduceLanes(VectorOperators.MAX);
    for (int i = bound; i < width; i++) {
      min = Math.min(min, x[from + i]);
      max = Math.max(max, x[from + i]);
    }
  }

  private void encode(float[] x, int from, int width, float step, float zero, int largest) {
    reserve(width);
    int bound = Lanes.bound(width);
    if (!(Math.max(-min, max) / step < VectorMath.ROUND_LIMIT)) {
      bound = 0; // far from 0 and all but equal: beyond what the vectors round
    }
    for (int i = 0; i < bound; i += Lanes.COUNT) {
      FloatVector rounded =
          FloatVector.fromArray(FLOATS, x, from + i).div(step).add(ROUNDER).sub(ROUNDER);
      FloatVector code = rounded.add(zero).min(largest).max(0f);
      ((IntVector) code.convert(F2I, 0)).intoArray(codes, i);
    }
    for (int i = bound; i < width; i++) {
      codes[i] = (int) RowQuantizer.code(x[from + i], step, zero, largest);
    }
  }

  /** With a zero of 0 to {@code largest}, so that far quotients may be cut before they round. */
  private void encodeBounded(
      float[] x, int from, int start, int end, float step, int zero, int largest) {
    int bound = start + Lanes.bound(end - start);
    for (int i = start; i < bound; i += Lanes.COUNT) {
      FloatVector quotient = FloatVector.fromArray(FLOATS, x, from + i).div(step);
      FloatVector rounded = quotient.max(-1e6f).min(1e6f).add(ROUNDER).sub(ROUNDER);
      FloatVector code = rounded.add(zero).min(largest).max(0f);
      ((IntVector) code.convert(F2I, 0)).intoArray(codes, i);
    }
    for (int i = bound; i < end; i++) {
      codes[i] = (int) RowQuantizer.code(x[from + i], step, zero, largest);
    }
  }

  private void reserve(int width) {
    if (codes.length < width) {
      codes = new int[width];
    }
  }

  private void store(QuantizedActivations out, int token, int half) {
    int width = out.width();
    int first = token * width;
    for (int i = 0; i < width; i++) {
      out.codes[first + i] = (byte) (codes[i] - half);
    }
    out.sum(token);
  }
}
