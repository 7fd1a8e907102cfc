package dev.nibble.quantizer.calibration;

import dev.nibble.quantizer.calibration.BlockTrainer.Scope;
import dev.nibble.quantizer.calibration.TransformerBlock.Parameters;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.ModelConfig.Activation;
import dev.nibble.quantizer.tensor.FakeQuantizer;
import dev.nibble.quantizer.tensor.FloatMatrix;
import dev.nibble.quantizer.tensor.GatedUnit;
import dev.nibble.quantizer.tensor.Rotation;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.util.EnumMap;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The gradient of a block's parameters, as they are in the forward pass: after transformation and
 * rounding. Reads what {@link BlockPass#forward} left. Not thread-safe.
 */
final class BlockGradient {
  private final BlockPass pass;
  private final ModelConfig config;
  private final WorkerThreads workers;
  private final ColumnSums sums;
  private final Map<LinearRole, float[]> weights = new EnumMap<>(LinearRole.class);
  private final Map<LinearRole, float[]> biases = new EnumMap<>(LinearRole.class);

  /** Gradients of the norms; those of the attention norm only when norms are trained. */
  float[] attentionNorm = {};

  float[] attentionNormBias = {};
  float[] mlpNorm = {};
  float[] mlpNormBias = {};

  /** Gradient of the output, which the caller fills. */
  final float[] dy;

  private final float[] residual;
  private final float[] normed;
  private final float[] attended;
  private final float[] query;
  private final float[] key;
  private final float[] value;
  private final float[] activated;
  private final float[] up;

  BlockGradient(BlockPass pass) {
    this.pass = pass;
    config = pass.config;
    workers = pass.workers;
    sums = new ColumnSums(workers);
    dy = new float[pass.y.length];
    residual = new float[pass.y.length];
    normed = new float[pass.y.length];
    attended = new float[pass.attended.length];
    query = new float[pass.query.length];
    key = new float[pass.key.length];
    value = new float[pass.value.length];
    activated = new float[pass.activated.length];
    up = new float[pass.up.length];
  }

  /** Gradient of a linear's weights, [out, in]. */
  float[] weight(LinearRole role) {
    return weights.computeIfAbsent(
        role, r -> new float[Math.multiplyExact(config.rows(r), config.columns(r))]);
  }

  /** Gradient of a linear's bias, if it has one and the scope is all. */
  Optional<float[]> bias(LinearRole role) {
    return Optional.ofNullable(biases.get(role));
  }

  /** Fills the gradients from {@link #dy}. */
  void backward(TransformerBlock block, BlockPrecision precision, int rows, Scope scope) {
    biases.clear();
    mlp(block, precision, rows, scope);
    attention(block, precision, rows, scope);
  }

  private void mlp(TransformerBlock block, BlockPrecision precision, int rows, Scope scope) {
    weights(block, LinearRole.DOWN, dy, pass.downInput, rows, scope);
    inputs(block, LinearRole.DOWN, dy, activated, rows);
    unround(InputSite.DOWN, precision, activated, rows);
    deactivate(rows);
    if (config.activation() == Activation.SILU) {
      weights(block, LinearRole.GATE, activated, pass.mlpInput, rows, scope);
    }
    weights(block, LinearRole.UP, up, pass.mlpInput, rows, scope);
    inputs(block, LinearRole.UP, up, normed, rows);
    if (config.activation() == Activation.SILU) {
      addInputs(block, LinearRole.GATE, activated, normed, rows);
    }
    unround(InputSite.MLP, precision, normed, rows);
    if (scope == Scope.ALL) {
      mlpNorm = normWeight(block, pass.middle, normed, rows);
      mlpNormBias = sums.of(normed, rows, config.hiddenSize());
    }
    int width = config.hiddenSize();
    float epsilon = config.normEpsilon();
    float[] weight = block.mlpNorm().weight();
    workers.run(
        rows,
        (from, to, worker) -> {
          if (block.centresNorms()) {
            NormGradient.layer(pass.middle, from, to, weight, epsilon, normed, residual);
          } else {
            NormGradient.rms(pass.middle, from, to, weight, epsilon, normed, residual);
          }
          for (int i = from * width; i < to * width; i++) {
            residual[i] += dy[i];
          }
        });
  }

  /** From the gradient of the non-linearity's output, in place, to those of its inputs. */
  private void deactivate(int rows) {
    int width = config.intermediateSize();
    workers.run(
        rows,
        (from, to, worker) -> {
          int first = from * width;
          int end = to * width;
          switch (config.activation()) {
            case SILU ->
                GatedUnit.backward(pass.gate, pass.up, activated, activated, up, first, end);
            case RELU -> {
              for (int i = first; i < end; i++) {
                up[i] = pass.up[i] > 0 ? activated[i] : 0;
              }
            }
            case GELU -> {
              for (int i = first; i < end; i++) {
                up[i] = activated[i] * Gelu.slope(pass.up[i]);
              }
            }
          }
        });
  }

  private void attention(TransformerBlock block, BlockPrecision precision, int rows, Scope scope) {
    weights(block, LinearRole.OUTPUT, residual, pass.outputInput, rows, scope);
    inputs(block, LinearRole.OUTPUT, residual, attended, rows);
    unround(InputSite.OUTPUT, precision, attended, rows);
    pass.attention.backward(
        pass.queries(precision),
        pass.keys(precision),
        pass.values(precision),
        rows / pass.context,
        pass.logSums,
        attended,
        query,
        key,
        value);
    turnBack(block, precision, rows);
    weights(block, LinearRole.QUERY, query, pass.attentionInput, rows, scope);
    weights(block, LinearRole.KEY, key, pass.attentionInput, rows, scope);
    weights(block, LinearRole.VALUE, value, pass.attentionInput, rows, scope);
    if (scope == Scope.ALL) {
      inputs(block, LinearRole.QUERY, query, normed, rows);
      addInputs(block, LinearRole.KEY, key, normed, rows);
      addInputs(block, LinearRole.VALUE, value, normed, rows);
      unround(InputSite.ATTENTION, precision, normed, rows);
      attentionNorm = normWeight(block, pass.x, normed, rows);
      attentionNormBias = sums.of(normed, rows, config.hiddenSize());
    }
  }

  /** Through rounding, RoPE and head norms of queries, keys and values, in place. */
  private void turnBack(TransformerBlock block, BlockPrecision precision, int rows) {
    int heads = config.heads();
    int kvHeads = config.kvHeads();
    int headDim = config.headDim();
    workers.run(
        rows,
        (from, to, worker) -> {
          if (precision.queryBits() < 16) {
            int bits = precision.queryBits();
            FakeQuantizer.gradient(
                pass.query, from * heads, to * heads, headDim, bits, query, query);
          }
          if (precision.kvBits() < 16) {
            int first = from * kvHeads;
            int end = to * kvHeads;
            int bits = precision.kvBits();
            FakeQuantizer.cachedGradient(pass.key, first, end, headDim, bits, key, key);
            FakeQuantizer.cachedGradient(pass.value, first, end, headDim, bits, value, value);
          }
          turnBack(block.queryNorm(), pass.rawQuery, query, heads, pass.queryRotation, from, to);
          turnBack(block.keyNorm(), pass.rawKey, key, kvHeads, pass.keyRotation, from, to);
        });
  }

  private void turnBack(
      Optional<float[]> norm,
      float[] raw,
      float[] gradient,
      int heads,
      @Nullable Rotation rotation,
      int from,
      int to) {
    if (rotation != null) {
      rotation.backward(gradient, from, to);
    }
    if (norm.isPresent()) {
      NormGradient.rms(
          raw, from * heads, to * heads, norm.get(), config.normEpsilon(), gradient, gradient);
    }
  }

  private void unround(InputSite site, BlockPrecision precision, float[] gradient, int rows) {
    if (!precision.keeps(site)) {
      InputQuantizer quantizer = precision.input(site);
      int width = site.width(config);
      workers.run(
          rows,
          (from, to, worker) -> quantizer.backward(pass.rawInput(site), from, to, width, gradient));
    }
  }

  /** dW = dout^T in. */
  private void weights(
      TransformerBlock block, LinearRole role, float[] dout, float[] in, int rows, Scope scope) {
    int out = config.rows(role);
    pass.gemm.multiply(
        FloatMatrix.of(dout, rows, out).transposed(),
        FloatMatrix.of(in, rows, config.columns(role)),
        FloatMatrix.of(weight(role), out, config.columns(role)));
    if (scope == Scope.ALL && block.linear(role).bias().isPresent()) {
      biases.put(role, sums.of(dout, rows, out));
    }
  }

  /** din = dout W. */
  private void inputs(
      TransformerBlock block, LinearRole role, float[] dout, float[] din, int rows) {
    pass.gemm.multiply(
        FloatMatrix.of(dout, rows, config.rows(role)),
        matrix(block, role),
        FloatMatrix.of(din, rows, config.columns(role)));
  }

  private void addInputs(
      TransformerBlock block, LinearRole role, float[] dout, float[] din, int rows) {
    pass.gemm.add(
        FloatMatrix.of(dout, rows, config.rows(role)),
        matrix(block, role),
        FloatMatrix.of(din, rows, config.columns(role)));
  }

  private FloatMatrix matrix(TransformerBlock block, LinearRole role) {
    Parameters linear = block.linear(role);
    return FloatMatrix.of(linear.weight(), config.rows(role), config.columns(role));
  }

  /** Sum over tokens of dout times the normalized x. */
  private float[] normWeight(TransformerBlock block, float[] x, float[] dout, int rows) {
    int width = config.hiddenSize();
    float epsilon = config.normEpsilon();
    return sums.of(
        rows,
        width,
        (row, total) -> {
          int at = row * width;
          float mean = block.centresNorms() ? RowNorm.mean(x, at, width) : 0;
          float inverse =
              block.centresNorms()
                  ? RowNorm.inverseDeviation(x, at, width, mean, epsilon)
                  : RowNorm.inverseRms(x, at, width, epsilon);
          for (int i = 0; i < width; i++) {
            total[i] += (double) dout[at + i] * (x[at + i] - mean) * inverse;
          }
        });
  }
}
