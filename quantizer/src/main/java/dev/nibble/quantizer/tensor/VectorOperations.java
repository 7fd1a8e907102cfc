package dev.nibble.quantizer.tensor;

import dev.nibble.quantizer.format.ModelConfig.RopeConfig;
import java.lang.foreign.Arena;
import java.util.Optional;

/**
 * The operations on the Vector API, on several threads where there is enough to do. Sums run in an
 * order of their own width, so results differ from those of other vector widths in the last bits.
 * Scratch memory grows with the largest shapes seen; after that no operation allocates.
 */
final class VectorOperations implements TensorOperations {
  /** Elements below which other threads are not worth waking. */
  private static final int ALONE = 1 << 14;

  /** Elements of an item of work without rows; a multiple of every vector's length. */
  private static final int RUN = 1 << 12;

  private final WorkerThreads threads;
  private final VectorMatmul matmul;
  private final VectorAttention attention;
  private final VectorRows[] rowMath;
  private final VectorQuantizer[] quantizers;

  private final WorkerThreads.RangeTask rmsNorms = this::rmsNorms;
  private final WorkerThreads.RangeTask layerNorms = this::layerNorms;
  private final WorkerThreads.RangeTask swiGlus = this::swiGlus;
  private final WorkerThreads.RangeTask gelus = this::gelus;
  private final WorkerThreads.RangeTask softmaxes = this::softmaxes;
  private final WorkerThreads.RangeTask rotations = this::rotations;
  private final WorkerThreads.RangeTask quantizations = this::quantizations;
  private final WorkerThreads.RangeTask staticQuantizations = this::staticQuantizations;
  private final WorkerThreads.RangeTask fakeQuantizations = this::fakeQuantizations;
  private final WorkerThreads.RangeTask appends = this::appends;

  // Operands of the call at work, where the tasks above find them; at first of any kind.
  private float[] x = {};
  private float[] y = {};
  private float[] weight = {};
  private float[] bias = {};
  private int[] integers = {};
  private int offset;
  private int width;
  private int heads;
  private int bits;
  private float epsilon;
  private RotaryEmbedding rotary = new RotaryEmbedding(new RopeConfig(1, Optional.empty()), 2, 1);
  private QuantizedActivations activations = new QuantizedActivations(8, true, 1, 1, 1);
  private KvLayer cache = new KvLayer(32, 1, 1, KvLayer.BLOCK);

  /**
   * Starts the threads.
   *
   * @param threads how many compute, the caller's included
   */
  VectorOperations(int threads) {
    this.threads = new WorkerThreads(threads);
    matmul = new VectorMatmul(this.threads);
    attention = new VectorAttention(this.threads);
    rowMath = new VectorRows[threads];
    quantizers = new VectorQuantizer[threads];
    for (int i = 0; i < threads; i++) {
      rowMath[i] = new VectorRows();
      quantizers[i] = new VectorQuantizer();
    }
  }

  @Override
  public String name() {
    return "vector %d-bit, %d thread%s"
        .formatted(Lanes.bits(), threads.threads(), threads.threads() == 1 ? "" : "s");
  }

  @Override
  public PreparedMatrix prepare(WeightMatrix weights, Arena arena) {
    return matmul.prepare(weights, arena);
  }

  @Override
  public void matmul(float[] x, int xOffset, int tokens, PreparedMatrix w, float[] y, int yOffset) {
    matmul.multiply(x, xOffset, tokens, w, y, yOffset);
  }

  @Override
  public void matmul(QuantizedActivations x, PreparedMatrix w, float[] y, int yOffset) {
    matmul.multiply(x, w, y, yOffset);
  }

  /** Runs a task over rows, alone when they are few. */
  private void run(int rows, int elementsOfRow, WorkerThreads.RangeTask task) {
    if ((long) rows * elementsOfRow < ALONE) {
      task.run(0, rows, 0);
    } else {
      threads.run(rows, task);
    }
  }

  @Override
  public void quantize(float[] x, int xOffset, int tokens, QuantizedActivations out) {
    out.hold(tokens);
    this.x = x;
    offset = xOffset;
    activations = out;
    run(tokens, out.width(), quantizations);
  }

  private void quantizations(int from, int to, int worker) {
    for (int t = from; t < to; t++) {
      quantizers[worker].quantize(x, offset + t * activations.width(), activations, t);
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
    this.x = x;
    offset = xOffset;
    this.bits = bits;
    weight = clusterScales;
    integers = clusterZeros;
    activations = out;
    run(tokens, out.width(), staticQuantizations);
  }

  private void staticQuantizations(int from, int to, int worker) {
    for (int t = from; t < to; t++) {
      int row = offset + t * activations.width();
      quantizers[worker].quantizeStatic(x, row, bits, weight, integers, activations, t);
    }
  }

  @Override
  public void fakeQuantize(float[] x, int offset, int runs, int width, int bits) {
    this.x = x;
    this.offset = offset;
    this.width = width;
    this.bits = bits;
    run(runs, width, fakeQuantizations);
  }

  private void fakeQuantizations(int from, int to, int worker) {
    for (int r = from; r < to; r++) {
      quantizers[worker].fakeQuantize(x, offset + r * width, width, bits);
    }
  }

  @Override
  public void rmsNorm(float[] x, int offset, int rows, float[] weight, float epsilon, float[] y) {
    this.x = x;
    this.y = y;
    this.offset = offset;
    this.weight = weight;
    this.epsilon = epsilon;
    run(rows, weight.length, rmsNorms);
  }

  private void rmsNorms(int from, int to, int worker) {
    for (int r = from; r < to; r++) {
      rowMath[worker].rmsNorm(x, offset + r * weight.length, weight, epsilon, y);
    }
  }

  @Override
  public void layerNorm(
      float[] x, int offset, int rows, float[] weight, float[] bias, float epsilon, float[] y) {
    this.x = x;
    this.y = y;
    this.offset = offset;
    this.weight = weight;
    this.bias = bias;
    this.epsilon = epsilon;
    run(rows, weight.length, layerNorms);
  }

  private void layerNorms(int from, int to, int worker) {
    for (int r = from; r < to; r++) {
      rowMath[worker].layerNorm(x, offset + r * weight.length, weight, bias, epsilon, y);
    }
  }

  @Override
  public void rope(float[] x, int tokens, int heads, RotaryEmbedding rope, int[] positions) {
    rope.check(heads, positions, tokens);
    this.x = x;
    this.heads = heads;
    rotary = rope;
    integers = positions;
    run(tokens, heads * rope.headDim(), rotations);
  }

  private void rotations(int from, int to, int worker) {
    int headDim = rotary.headDim();
    for (int t = from; t < to; t++) {
      for (int h = 0; h < heads; h++) {
        int first = (t * heads + h) * headDim;
        rowMath[worker].rotate(x, first, rotary, integers[t], rotary.order(h, heads));
      }
    }
  }

  @Override
  public void swiGlu(float[] gate, float[] up, int length) {
    x = gate;
    y = up;
    width = length;
    run(Math.ceilDiv(length, RUN), RUN, swiGlus);
  }

  private void swiGlus(int from, int to, int worker) {
    rowMath[worker].swiGlu(x, y, from * RUN, Math.min(width, to * RUN));
  }

  @Override
  public void gelu(float[] x, int length) {
    this.x = x;
    width = length;
    run(Math.ceilDiv(length, RUN), RUN, gelus);
  }

  private void gelus(int from, int to, int worker) {
    rowMath[worker].gelu(x, from * RUN, Math.min(width, to * RUN));
  }

  @Override
  public void softmax(float[] x, int offset, int rows, int width) {
    this.x = x;
    this.offset = offset;
    this.width = width;
    run(rows, width, softmaxes);
  }

  private void softmaxes(int from, int to, int worker) {
    for (int r = from; r < to; r++) {
      rowMath[worker].softmax(x, offset + r * width, width);
    }
  }

  // The compiler vectorizes the next three by itself, and they are bound by memory.

  @Override
  public void relu(float[] x, int length) {
    for (int i = 0; i < length; i++) {
      x[i] = Math.max(x[i], 0);
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
      int row = r * bias.length;
      for (int i = 0; i < bias.length; i++) {
        x[row + i] += bias[i];
      }
    }
  }

  @Override
  public void append(
      KvLayer cache, int position, float[] keys, float[] values, int offset, int tokens) {
    cache.check(position, tokens);
    this.cache = cache;
    x = keys;
    y = values;
    this.offset = offset;
    width = position;
    run(tokens, 2 * cache.kvHeads() * cache.headDim(), appends);
  }

  private void appends(int from, int to, int worker) {
    cache.append(width, x, y, offset, from, to);
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
  public void close() {
    matmul.close();
    threads.close();
  }
}
