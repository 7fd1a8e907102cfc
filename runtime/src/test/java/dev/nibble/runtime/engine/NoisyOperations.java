package dev.nibble.runtime.engine;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.tensor.KvLayer;
import dev.nibble.quantizer.tensor.PreparedMatrix;
import dev.nibble.quantizer.tensor.QuantizedActivations;
import dev.nibble.quantizer.tensor.RotaryEmbedding;
import dev.nibble.quantizer.tensor.TensorOperations;
import dev.nibble.quantizer.tensor.WeightMatrix;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.Random;

/**
 * Operations of the CPU that are off by as much as a half is, drawn at random, wherever the GPU
 * holds halves: normed and activated inputs unless they become codes at once, queries, keys and
 * values, what attention gives, gate and up. Codes of few bits that lie on a rounding edge fall
 * either way, and no two right engines agree better than the CPU's agrees with itself under this.
 */
final class NoisyOperations implements TensorOperations {
  /** From the least to the greatest that rounding to a half moves a value by, of the value. */
  private static final float HALF_STEP = 0x1p-10f;

  private final TensorOperations exact;
  private final Random random;
  private final boolean inputsAreHalves;

  NoisyOperations(QuantScheme scheme, long seed) {
    exact = TensorOperations.best(1);
    random = new Random(seed);
    inputsAreHalves = !scheme.quantizesActivations();
  }

  /** An engine of the CPU that computes with them. */
  static Engine engine(Path model, ModelOptions options, long seed) throws IOException {
    ModelWeights weights = ModelWeights.of(Checkpoint.open(model));
    return CpuEngine.create(weights, options, new NoisyOperations(weights.config().scheme(), seed));
  }

  private void disturb(float[] x, int from, int count) {
    for (int i = from; i < from + count; i++) {
      x[i] *= 1 + (random.nextFloat() - 0.5f) * HALF_STEP;
    }
  }

  @Override
  public void rmsNorm(float[] x, int offset, int rows, float[] weight, float epsilon, float[] y) {
    exact.rmsNorm(x, offset, rows, weight, epsilon, y);
    if (inputsAreHalves) {
      disturb(y, offset, rows * weight.length);
    }
  }

  @Override
  public void layerNorm(
      float[] x, int offset, int rows, float[] weight, float[] bias, float epsilon, float[] y) {
    exact.layerNorm(x, offset, rows, weight, bias, epsilon, y);
    if (inputsAreHalves) {
      disturb(y, offset, rows * weight.length);
    }
  }

  @Override
  public void rope(float[] x, int tokens, int heads, RotaryEmbedding rope, int[] positions) {
    disturb(x, 0, tokens * heads * rope.headDim());
    exact.rope(x, tokens, heads, rope, positions);
  }

  @Override
  public void append(
      KvLayer cache, int position, float[] keys, float[] values, int offset, int tokens) {
    disturb(values, offset, tokens * cache.kvHeads() * cache.headDim());
    exact.append(cache, position, keys, values, offset, tokens);
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
    exact.attention(q, offset, tokens, heads, cache, position, window, out);
    disturb(out, offset, tokens * heads * cache.headDim());
  }

  @Override
  public void swiGlu(float[] gate, float[] up, int length) {
    disturb(gate, 0, length);
    disturb(up, 0, length);
    exact.swiGlu(gate, up, length);
    if (inputsAreHalves) {
      disturb(gate, 0, length);
    }
  }

  @Override
  public void gelu(float[] x, int length) {
    disturb(x, 0, length);
    exact.gelu(x, length);
  }

  @Override
  public void relu(float[] x, int length) {
    disturb(x, 0, length);
    exact.relu(x, length);
  }

  @Override
  public String name() {
    return "noisy " + exact.name();
  }

  @Override
  public PreparedMatrix prepare(WeightMatrix weights, Arena arena) {
    return exact.prepare(weights, arena);
  }

  @Override
  public void matmul(float[] x, int xOffset, int tokens, PreparedMatrix w, float[] y, int yOffset) {
    exact.matmul(x, xOffset, tokens, w, y, yOffset);
  }

  @Override
  public void matmul(QuantizedActivations x, PreparedMatrix w, float[] y, int yOffset) {
    exact.matmul(x, w, y, yOffset);
  }

  @Override
  public void quantize(float[] x, int xOffset, int tokens, QuantizedActivations out) {
    exact.quantize(x, xOffset, tokens, out);
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
    exact.quantizeStatic(x, xOffset, tokens, bits, clusterScales, clusterZeros, out);
  }

  @Override
  public void fakeQuantize(float[] x, int offset, int runs, int width, int bits) {
    exact.fakeQuantize(x, offset, runs, width, bits);
  }

  @Override
  public void softmax(float[] x, int offset, int rows, int width) {
    exact.softmax(x, offset, rows, width);
  }

  @Override
  public void add(float[] x, float[] y, int length) {
    exact.add(x, y, length);
  }

  @Override
  public void addBias(float[] x, int rows, float[] bias) {
    exact.addBias(x, rows, bias);
  }

  @Override
  public void close() {
    exact.close();
  }
}
