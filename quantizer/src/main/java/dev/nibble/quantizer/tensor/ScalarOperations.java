package dev.nibble.quantizer.tensor;

import java.lang.foreign.Arena;
import java.util.Objects;

/**
 * The operations in plain loops with sums in double precision: what every other provider is
 * measured against, and what works where there is no Vector API. One thread; it reads weights in
 * place.
 */
public final class ScalarOperations implements TensorOperations {
  private final ScalarMatmul matmul = new ScalarMatmul();
  private final ScalarAttention attention = new ScalarAttention();

  /** Makes an instance. */
  public ScalarOperations() {}

  @Override
  public String name() {
    return "scalar";
  }

  @Override
  public PreparedMatrix prepare(WeightMatrix weights, Arena arena) {
    return new ScalarMatmul.Matrix(weights);
  }

  @Override
  public void matmul(float[] x, int xOffset, int tokens, PreparedMatrix w, float[] y, int yOffset) {
    Objects.checkFromIndexSize(xOffset, Math.multiplyExact(tokens, w.columns()), x.length);
    Objects.checkFromIndexSize(yOffset, Math.multiplyExact(tokens, w.rows()), y.length);
    matmul.multiply(x, xOffset, tokens, weights(w), y, yOffset);
  }

  @Override
  public void matmul(QuantizedActivations x, PreparedMatrix w, float[] y, int yOffset) {
    Objects.checkFromIndexSize(yOffset, Math.multiplyExact(x.tokens(), w.rows()), y.length);
    if (!(weights(w) instanceof WeightMatrix.Packed packed)) {
      throw new IllegalArgumentException("quantized inputs need packed weights");
    }
    if (x.width() != w.columns()) {
      throw new IllegalArgumentException(
          "inputs of " + x.width() + " channels, weights of " + w.columns());
    }
    matmul.multiply(x, packed, y, yOffset);
  }

  private static WeightMatrix weights(PreparedMatrix w) {
    if (w instanceof ScalarMatmul.Matrix matrix) {
      return matrix.weights();
    }
    throw new IllegalArgumentException("weights prepared by another provider");
  }

  @Override
  public void quantize(float[] x, int xOffset, int tokens, QuantizedActivations out) {
    out.hold(tokens);
    int width = out.width();
    int half = 1 << (out.bits() - 1);
    float largest = 2 * half - 1;
    for (int t = 0; t < tokens; t++) {
      int from = xOffset + t * width;
      float min = RowQuantizer.min(x, from, width);
      float max = RowQuantizer.max(x, from, width);
      float step =
          out.symmetric()
              ? RowQuantizer.symmetricStep(min, max, out.bits())
              : RowQuantizer.step(min, max, out.bits());
      float zero = out.symmetric() ? half : RowQuantizer.zero(min, step);
      for (int i = 0; i < width; i++) {
        int code = (int) RowQuantizer.code(x[from + i], step, zero, largest);
        out.codes[t * width + i] = (byte) (code - half);
      }
      out.scales[t] = step;
      out.zeros[t] = zero - half;
      out.sum(t);
    }
  }

  @Override
  public void quantizeStatic(
      float[] x,
      int xOffset,
      int tokens,
      int bits,
      float[] clusterScales,
      int[] clusterZeros,
      QuantizedActivations out) {
    out.hold(tokens);
    int width = out.width();
    int half = 1 << (bits - 1);
    float largest = 2 * half - 1;
    for (int t = 0; t < tokens; t++) {
      for (int i = 0; i < width; i++) {
        int c = i / CLUSTER_COLUMNS;
        float element = x[xOffset + t * width + i];
        int code = (int) RowQuantizer.code(element, clusterScales[c], clusterZeros[c], largest);
        out.codes[t * width + i] = (byte) (code - half);
      }
      out.scales[t] = 1;
      out.zeros[t] = 0;
      out.sum(t);
    }
  }

  @Override
  public void fakeQuantize(float[] x, int offset, int runs, int width, int bits) {
    float largest = (1 << bits) - 1;
    for (int r = 0; r < runs; r++) {
      int from = offset + r * width;
      float min = RowQuantizer.min(x, from, width);
      float step = RowQuantizer.step(min, RowQuantizer.max(x, from, width), bits);
      float zero = RowQuantizer.zero(min, step);
      for (int i = from; i < from + width; i++) {
        x[i] = (RowQuantizer.code(x[i], step, zero, largest) - zero) * step;
      }
    }
  }

  @Override
  public void rmsNorm(float[] x, int offset, int rows, float[] weight, float epsilon, float[] y) {
    int width = weight.length;
    for (int r = 0; r < rows; r++) {
      int from = offset + r * width;
      double squares = 0;
      for (int i = 0; i < width; i++) {
        squares += (double) x[from + i] * x[from + i];
      }
      double scale = 1 / Math.sqrt(squares / width + epsilon);
      for (int i = 0; i < width; i++) {
        y[from + i] = (float) (x[from + i] * scale * weight[i]);
      }
    }
  }

  @Override
  public void layerNorm(
      float[] x, int offset, int rows, float[] weight, float[] bias, float epsilon, float[] y) {
    int width = weight.length;
    for (int r = 0; r < rows; r++) {
      int from = offset + r * width;
      double sum = 0;
      for (int i = 0; i < width; i++) {
        sum += x[from + i];
      }
      double mean = sum / width;
      double squares = 0;
      for (int i = 0; i < width; i++) {
        squares += (x[from + i] - mean) * (x[from + i] - mean);
      }
      double scale = 1 / Math.sqrt(squares / width + epsilon);
      for (int i = 0; i < width; i++) {
        y[from + i] = (float) ((x[from + i] - mean) * scale * weight[i] + bias[i]);
      }
    }
  }

  @Override
  public void rope(float[] x, int tokens, int heads, RotaryEmbedding rope, int[] positions) {
    rope.check(heads, positions, tokens);
    int half = rope.headDim() / 2;
    for (int t = 0; t < tokens; t++) {
      int table = positions[t] * half;
      for (int h = 0; h < heads; h++) {
        int[] order = rope.order(h, heads);
        int first = (t * heads + h) * 2 * half;
        for (int i = 0; i < half; i++) {
          int frequency = table + (order == null ? i : order[i]);
          double cosine = rope.cosines()[frequency];
          double sine = rope.sines()[frequency];
          double a = x[first + i];
          double b = x[first + half + i];
          x[first + i] = (float) (a * cosine - b * sine);
          x[first + half + i] = (float) (b * cosine + a * sine);
        }
      }
    }
  }

  @Override
  public void swiGlu(float[] gate, float[] up, int length) {
    for (int i = 0; i < length; i++) {
      double g = gate[i];
      gate[i] = (float) (g / (1 + Math.exp(-g)) * up[i]);
    }
  }

  @Override
  public void gelu(float[] x, int length) {
    for (int i = 0; i < length; i++) {
      x[i] = (float) (x[i] * (1 + erf(x[i] / Math.sqrt(2))) / 2);
    }
  }

  /** By the series 2/sqrt(pi) e^(-x^2) sum 2^n x^(2n+1) / (1 3 5 ... 2n+1), whose terms add up. */
  static double erf(double x) {
    if (Math.abs(x) > 6) {
      return Math.signum(x);
    }
    double term = x;
    double sum = x;
    for (int n = 1; Math.abs(term) > Math.ulp(sum) / 4; n++) {
      term *= 2 * x * x / (2 * n + 1);
      sum += term;
    }
    return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
  }

  @Override
  public void relu(float[] x, int length) {
    for (int i = 0; i < length; i++) {
      x[i] = Math.max(x[i], 0);
    }
  }

  @Override
  public void softmax(float[] x, int offset, int rows, int width) {
    for (int r = 0; r < rows; r++) {
      int from = offset + r * width;
      float max = RowQuantizer.max(x, from, width);
      double sum = 0;
      for (int i = from; i < from + width; i++) {
        sum += Math.exp((double) x[i] - max);
      }
      for (int i = from; i < from + width; i++) {
        x[i] = (float) (Math.exp((double) x[i] - max) / sum);
      }
    }
  }

  @Override
  public void add(float[] x, float[] y, int length) {
    for (int i = 0; i < length; i++) {
      x[i] += y[i];
    }
  }

  @Override
  public void addBias(float[] x, int rows, float[] bias) {
    for (int r = 0; r < rows; r++) {
      for (int i = 0; i < bias.length; i++) {
        x[r * bias.length + i] += bias[i];
      }
    }
  }

  @Override
  public void append(
      KvLayer cache, int position, float[] keys, float[] values, int offset, int tokens) {
    cache.check(position, tokens);
    cache.append(position, keys, values, offset, 0, tokens);
  }

  @Override
  public void attention(
      float[] q,
      int offset,
      int tokens,
      int heads,
      KvLayer cache,
      int position,
      int window,
      float[] out) {
    cache.check(position, tokens);
    attention.attend(q, offset, tokens, heads, cache, position, window, out);
  }

  @Override
  public void close() {}
}
