package dev.nibble.quantizer.calibration;

import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A block in double precision and plain loops, one window, the oracle of {@link BlockPass}. Which
 * codes values get is taken from that pass, as one on the edge of two may round either way.
 * Rounding residues and zeros stay as they were there, which makes the block the smooth function
 * whose gradient straight-through training takes.
 */
final class ReferenceBlock {
  final Map<LinearRole, double[]> weights = new EnumMap<>(LinearRole.class);
  final Map<LinearRole, double[]> biases = new EnumMap<>(LinearRole.class);
  final double[] attentionNorm;
  final double[] attentionNormBias;
  final double[] mlpNorm;
  final double[] mlpNormBias;
  private final double @Nullable [] queryNorm;
  private final double @Nullable [] keyNorm;
  private final TransformerBlock source;
  private final ModelConfig config;
  private final int activationBits;
  private final int queryBits;
  private final int kvBits;
  private final List<double[]> frozen = new ArrayList<>();
  private @Nullable BlockPass pass;
  private int nextRun;

  ReferenceBlock(TransformerBlock block, int activationBits, int queryBits, int kvBits) {
    source = block;
    config = block.config();
    this.activationBits = activationBits;
    this.queryBits = queryBits;
    this.kvBits = kvBits;
    for (LinearRole role : block.roles()) {
      weights.put(role, doubles(block.linear(role).weight()));
      biases.put(role, doubles(block.linear(role).biasOrZeros(config.rows(role))));
    }
    int hidden = config.hiddenSize();
    attentionNorm = doubles(block.attentionNorm().weight());
    attentionNormBias = doubles(block.attentionNorm().biasOrZeros(hidden));
    mlpNorm = doubles(block.mlpNorm().weight());
    mlpNormBias = doubles(block.mlpNorm().biasOrZeros(hidden));
    queryNorm = block.queryNorm().map(ReferenceBlock::doubles).orElse(null);
    keyNorm = block.keyNorm().map(ReferenceBlock::doubles).orElse(null);
  }

  static double[] doubles(float[] x) {
    double[] y = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      y[i] = x[i];
    }
    return y;
  }

  /** Runs and takes the codes from a pass over the same window. */
  double[] run(double[] x, BlockPass codes) {
    frozen.clear();
    pass = codes;
    double[] y = run(x);
    pass = null;
    return y;
  }

  /** Runs with the codes of the last pass. */
  double[] run(double[] x) {
    nextRun = 0;
    int hidden = config.hiddenSize();
    int tokens = x.length / hidden;
    double[] a = norm(x, tokens, attentionNorm, attentionNormBias);
    round(a, hidden, activationBits, false, pass == null ? null : pass.normed);
    double[] q = linear(LinearRole.QUERY, a, tokens);
    double[] k = linear(LinearRole.KEY, a, tokens);
    double[] v = linear(LinearRole.VALUE, a, tokens);
    turn(q, config.heads(), queryNorm);
    turn(k, config.kvHeads(), keyNorm);
    round(q, config.headDim(), queryBits, false, pass == null ? null : pass.query);
    round(k, config.headDim(), kvBits, true, pass == null ? null : pass.key);
    round(v, config.headDim(), kvBits, true, pass == null ? null : pass.value);
    double[] c = attend(q, k, v, tokens);
    round(
        c,
        config.heads() * config.headDim(),
        activationBits,
        false,
        pass == null ? null : pass.attended);
    double[] middle = add(linear(LinearRole.OUTPUT, c, tokens), x);
    double[] m = norm(middle, tokens, mlpNorm, mlpNormBias);
    round(m, hidden, activationBits, false, pass == null ? null : pass.mlpNormed);
    double[] u = linear(LinearRole.UP, m, tokens);
    double[] g =
        config.activation() == ModelConfig.Activation.SILU ? linear(LinearRole.GATE, m, tokens) : u;
    double[] z = new double[u.length];
    for (int i = 0; i < z.length; i++) {
      z[i] =
          switch (config.activation()) {
            case SILU -> g[i] / (1 + Math.exp(-g[i])) * u[i];
            case RELU -> Math.max(0, u[i]);
            case GELU -> u[i] * probability(u[i]);
          };
    }
    round(
        z, config.intermediateSize(), activationBits, false, pass == null ? null : pass.activated);
    return add(linear(LinearRole.DOWN, z, tokens), middle);
  }

  /** P(X < x) of the normal distribution: 1/2 + density (x + x^3/3 + x^5/15 + ...). */
  private static double probability(double x) {
    double term = x;
    double sum = x;
    for (int k = 3; Math.abs(term) > 1e-17 * Math.abs(sum) && k < 500; k += 2) {
      term *= x * x / k;
      sum += term;
    }
    return 0.5 + sum * Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
  }

  private double[] norm(double[] x, int tokens, double[] weight, double[] bias) {
    int width = weight.length;
    double[] y = new double[x.length];
    for (int t = 0; t < tokens; t++) {
      double mean = 0;
      for (int i = 0; source.centresNorms() && i < width; i++) {
        mean += x[t * width + i] / width;
      }
      double squares = 0;
      for (int i = 0; i < width; i++) {
        squares += Math.pow(x[t * width + i] - mean, 2) / width;
      }
      double inverse = 1 / Math.sqrt(squares + config.normEpsilon());
      for (int i = 0; i < width; i++) {
        y[t * width + i] = (x[t * width + i] - mean) * inverse * weight[i] + bias[i];
      }
    }
    return y;
  }

  private double[] linear(LinearRole role, double[] x, int tokens) {
    int out = config.rows(role);
    int in = config.columns(role);
    double[] w = weights.get(role);
    double[] y = new double[tokens * out];
    for (int t = 0; t < tokens; t++) {
      for (int n = 0; n < out; n++) {
        double sum = biases.get(role)[n];
        for (int k = 0; k < in; k++) {
          sum += x[t * in + k] * w[n * in + k];
        }
        y[t * out + n] = sum;
      }
    }
    return y;
  }

  private void turn(double[] x, int heads, double @Nullable [] norm) {
    int headDim = config.headDim();
    int half = headDim / 2;
    int tokens = x.length / heads / headDim;
    for (int run = 0; run < tokens * heads; run++) {
      int at = run * headDim;
      if (norm != null) {
        double squares = 0;
        for (int i = 0; i < headDim; i++) {
          squares += x[at + i] * x[at + i] / headDim;
        }
        for (int i = 0; i < headDim; i++) {
          x[at + i] *= norm[i] / Math.sqrt(squares + config.normEpsilon());
        }
      }
      for (int i = 0; config.rope().isPresent() && i < half; i++) {
        int position = run / heads;
        double angle = position * frequency(i);
        double a = x[at + i];
        double b = x[at + half + i];
        x[at + i] = a * Math.cos(angle) - b * Math.sin(angle);
        x[at + half + i] = b * Math.cos(angle) + a * Math.sin(angle);
      }
    }
  }

  private double frequency(int i) {
    var rope = config.rope().orElseThrow();
    double frequency = Math.pow(rope.theta(), -2.0 * i / config.headDim());
    if (rope.scaling().isEmpty()) {
      return frequency;
    }
    var s = rope.scaling().get();
    double wavelength = 2 * Math.PI / frequency;
    if (wavelength > s.originalMaxPositions() / s.lowFrequencyFactor()) {
      return frequency / s.factor();
    }
    if (wavelength < s.originalMaxPositions() / s.highFrequencyFactor()) {
      return frequency;
    }
    double smooth =
        (s.originalMaxPositions() / wavelength - s.lowFrequencyFactor())
            / (s.highFrequencyFactor() - s.lowFrequencyFactor());
    return (1 - smooth) * frequency / s.factor() + smooth * frequency;
  }

  private double[] attend(double[] q, double[] k, double[] v, int tokens) {
    int headDim = config.headDim();
    int heads = config.heads();
    int kvHeads = config.kvHeads();
    double[] out = new double[q.length];
    for (int h = 0; h < heads; h++) {
      int kv = h / (heads / kvHeads);
      for (int t = 0; t < tokens; t++) {
        double[] p = new double[t + 1];
        double sum = 0;
        for (int s = 0; s <= t; s++) {
          double dot = 0;
          for (int i = 0; i < headDim; i++) {
            dot += q[(t * heads + h) * headDim + i] * k[(s * kvHeads + kv) * headDim + i];
          }
          p[s] = Math.exp(dot / Math.sqrt(headDim));
          sum += p[s];
        }
        for (int s = 0; s <= t; s++) {
          for (int i = 0; i < headDim; i++) {
            out[(t * heads + h) * headDim + i] += p[s] / sum * v[(s * kvHeads + kv) * headDim + i];
          }
        }
      }
    }
    return out;
  }

  private static double[] add(double[] x, double[] y) {
    double[] sum = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      sum[i] = x[i] + y[i];
    }
    return sum;
  }

  private void round(double[] x, int width, int bits, boolean cached, float @Nullable [] found) {
    for (int at = 0; bits < 16 && at < x.length; at += width) {
      int largest = (1 << bits) - 1;
      double h = Math.min(1e4, Math.max(1e-5, (max(x, at, width) - min(x, at, width)) / largest));
      if (found != null) {
        frozen.add(record(found, at, width, largest, cached, h));
      }
      restore(x, at, width, h, frozen.get(nextRun++));
    }
  }

  /**
   * The zero, the step over the exact step, what rounding the minimum adds, then for each element
   * its rounding residue, or 2 + its clamped code.
   */
  private static double[] record(
      float[] x, int at, int width, int largest, boolean cached, double h) {
    double[] run = doubles(Arrays.copyOfRange(x, at, at + width));
    float min = (float) min(run, 0, width);
    float step = Math.max(1e-5f, ((float) max(run, 0, width) - min) / largest);
    float used = cached ? Float.float16ToFloat(Float.floatToFloat16(step)) : step;
    double[] record = new double[width + 3];
    double zero = Math.rint(-min / used);
    record[0] = zero;
    record[1] = used / h;
    float minimum = (float) -zero * used;
    record[2] = cached ? Float.float16ToFloat(Float.floatToFloat16(minimum)) + zero * used : 0;
    for (int i = 0; i < width; i++) {
      double code = Math.rint(x[at + i] / used) + zero;
      record[i + 3] =
          code < 0 || code > largest
              ? 2 + Math.max(0, Math.min(largest, code))
              : code - zero - (double) x[at + i] / used;
    }
    return record;
  }

  private static void restore(double[] x, int at, int width, double h, double[] record) {
    double used = h * record[1];
    for (int i = 0; i < width; i++) {
      x[at + i] =
          record[i + 3] >= 2
              ? (record[i + 3] - 2 - record[0]) * used + record[2]
              : (x[at + i] / used + record[i + 3]) * used + record[2];
    }
  }

  private static double min(double[] x, int at, int width) {
    double min = x[at];
    for (int i = 1; i < width; i++) {
      min = Math.min(min, x[at + i]);
    }
    return min;
  }

  private static double max(double[] x, int at, int width) {
    double max = x[at];
    for (int i = 1; i < width; i++) {
      max = Math.max(max, x[at + i]);
    }
    return max;
  }
}
