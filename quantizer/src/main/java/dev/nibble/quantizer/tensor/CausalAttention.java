package dev.nibble.quantizer.tensor;

import java.util.Arrays;

/**
 * Causal attention over whole windows of tokens and its gradient, softmax(q k^T / sqrt(headDim)) v.
 * Query head h reads key head h / (heads / kvHeads). Probabilities are not kept: the gradient makes
 * them again from the logarithms of their sums, a tile of queries at a time (Dao et al. 2022). The
 * number of threads changes no bit. Needs the Vector API. One thread drives an instance.
 */
public final class CausalAttention {
  private static final int TILE = 64;

  private final WorkerThreads workers;
  private final int context;
  private final int heads;
  private final int kvHeads;
  private final int headDim;
  private final int window;
  private final float scale;
  private final Scratch[] scratch;

  /**
   * Creates an instance.
   *
   * @param workers the threads that compute
   * @param context tokens of a window
   * @param heads query heads
   * @param kvHeads key and value heads; divides {@code heads}
   * @param headDim channels of a head
   * @param reach tokens a query sees, itself included, or 0 for all before it
   */
  public CausalAttention(
      WorkerThreads workers, int context, int heads, int kvHeads, int headDim, int reach) {
    if (context < 1 || headDim < 1 || kvHeads < 1 || heads % kvHeads != 0) {
      throw new IllegalArgumentException(
          "attention of " + heads + " heads, " + kvHeads + " key heads, context " + context);
    }
    this.workers = workers;
    this.context = context;
    this.heads = heads;
    this.kvHeads = kvHeads;
    this.headDim = headDim;
    window = reach == 0 ? context : Math.min(reach, context);
    scale = (float) (1 / Math.sqrt(headDim));
    scratch = new Scratch[workers.threads()];
    for (int i = 0; i < scratch.length; i++) {
      scratch[i] = new Scratch();
    }
  }

  /** The memory of one thread. */
  private final class Scratch {
    final int stride = Math.ceilDiv(context, GemmKernel.WIDTH) * GemmKernel.WIDTH;
    final float[] probabilities = new float[TILE * stride];
    final float[] gradients = new float[TILE * stride];
    final FloatPanels keysAcross = new FloatPanels();
    final FloatPanels valuesAcross = new FloatPanels();
    final FloatPanels keys = new FloatPanels();
    final FloatPanels values = new FloatPanels();
    final FloatPanels tile = new FloatPanels();
    final SoftmaxRow softmax = new SoftmaxRow();
    final FloatPanels.Scratch left = new FloatPanels.Scratch();

    FloatMatrix tile(float[] data, int rows, int columns) {
      return new FloatMatrix(data, 0, rows, columns, stride, 1);
    }
  }

  /**
   * Attends.
   *
   * @param q queries, [windows x context, heads x headDim]
   * @param k keys, [windows x context, kvHeads x headDim]
   * @param v values, as k
   * @param windows number of windows
   * @param out as q
   * @param logSums [windows x context, heads]; receives each query's logarithm of the sum of its
   *     exponentials
   */
  public void forward(float[] q, float[] k, float[] v, int windows, float[] out, float[] logSums) {
    countProducts(windows, 2);
    workers.run(
        Math.multiplyExact(windows, heads),
        (from, to, worker) -> {
          for (int item = from; item < to; item++) {
            attend(q, k, v, item / heads, item % heads, out, logSums, scratch[worker]);
          }
        });
  }

  private void attend(
      float[] q, float[] k, float[] v, int at, int head, float[] out, float[] logSums, Scratch s) {
    int kvHead = head / (heads / kvHeads);
    pack(keys(k, at, kvHead).transposed(), s.keysAcross);
    pack(keys(v, at, kvHead), s.values);
    for (int first = 0; first < context; first += TILE) {
      int rows = Math.min(TILE, context - first);
      int seen = first + rows;
      Arrays.fill(s.probabilities, 0, rows * s.stride, 0f);
      s.keysAcross.addProduct(
          queries(q, at, head, first, rows),
          s.tile(s.probabilities, rows, context),
          0,
          rows,
          seen,
          s.left);
      for (int r = 0; r < rows; r++) {
        int row = r * s.stride;
        int end = first + r + 1;
        int begin = Math.max(0, end - window);
        logSums[(at * context + first + r) * heads + head] =
            s.softmax.forward(s.probabilities, row, row + begin, row + end, row + seen, scale);
      }
      FloatMatrix result = queries(out, at, head, first, rows);
      clear(result);
      s.values.addProduct(s.tile(s.probabilities, rows, seen), result, 0, rows, headDim, s.left);
    }
  }

  /**
   * The gradient.
   *
   * @param q queries of the forward pass
   * @param k its keys
   * @param v its values
   * @param windows number of windows
   * @param logSums what it wrote
   * @param dout gradient of its output, as q
   * @param dq receives the gradient of q
   * @param dk receives the gradient of k
   * @param dv receives the gradient of v
   */
  public void backward(
      float[] q,
      float[] k,
      float[] v,
      int windows,
      float[] logSums,
      float[] dout,
      float[] dq,
      float[] dk,
      float[] dv) {
    countProducts(windows, 5);
    int group = heads / kvHeads;
    workers.run(
        Math.multiplyExact(windows, kvHeads),
        (from, to, worker) -> {
          Scratch s = scratch[worker];
          for (int item = from; item < to; item++) {
            int at = item / kvHeads;
            int kvHead = item % kvHeads;
            FloatMatrix keys = keys(k, at, kvHead);
            pack(keys.transposed(), s.keysAcross);
            pack(keys, s.keys);
            pack(keys(v, at, kvHead).transposed(), s.valuesAcross);
            clear(keys(dk, at, kvHead));
            clear(keys(dv, at, kvHead));
            for (int head = kvHead * group; head < (kvHead + 1) * group; head++) {
              for (int first = 0; first < context; first += TILE) {
                retrace(q, at, head, first, logSums, dout, dq, dk, dv, s);
              }
            }
          }
        });
  }

  /** One tile of queries of one head. */
  private void retrace(
      float[] q,
      int at,
      int head,
      int first,
      float[] logSums,
      float[] dout,
      float[] dq,
      float[] dk,
      float[] dv,
      Scratch s) {
    int rows = Math.min(TILE, context - first);
    int seen = first + rows;
    int kvHead = head / (heads / kvHeads);
    FloatMatrix queries = queries(q, at, head, first, rows);
    FloatMatrix upstream = queries(dout, at, head, first, rows);
    FloatMatrix probabilities = s.tile(s.probabilities, rows, context);
    FloatMatrix gradients = s.tile(s.gradients, rows, context);
    Arrays.fill(s.probabilities, 0, rows * s.stride, 0f);
    Arrays.fill(s.gradients, 0, rows * s.stride, 0f);
    s.keysAcross.addProduct(queries, probabilities, 0, rows, seen, s.left);
    s.valuesAcross.addProduct(upstream, gradients, 0, rows, seen, s.left);
    for (int r = 0; r < rows; r++) {
      int row = r * s.stride;
      int end = first + r + 1;
      int begin = Math.max(0, end - window);
      float logSum = logSums[(at * context + first + r) * heads + head];
      s.softmax.backward(
          s.probabilities, s.gradients, row, row + begin, row + end, row + seen, scale, logSum);
    }
    FloatMatrix result = queries(dq, at, head, first, rows);
    clear(result);
    s.keys.addProduct(s.tile(s.gradients, rows, seen), result, 0, rows, headDim, s.left);
    pack(upstream, s.tile);
    s.tile.addProduct(
        s.tile(s.probabilities, rows, seen).transposed(),
        keys(dv, at, kvHead),
        0,
        seen,
        headDim,
        s.left);
    pack(queries, s.tile);
    s.tile.addProduct(
        s.tile(s.gradients, rows, seen).transposed(),
        keys(dk, at, kvHead),
        0,
        seen,
        headDim,
        s.left);
  }

  /**
   * Of so many products of each query with the keys or values it sees; a sliding window as whole.
   */
  private void countProducts(int windows, int products) {
    workers.countProducts(
        products * ((long) windows * heads * headDim) * ((long) context * (context + 1) / 2));
  }

  private FloatMatrix keys(float[] k, int at, int kvHead) {
    int width = kvHeads * headDim;
    return new FloatMatrix(k, at * context * width + kvHead * headDim, context, headDim, width, 1);
  }

  private FloatMatrix queries(float[] q, int at, int head, int first, int rows) {
    int width = heads * headDim;
    return new FloatMatrix(
        q, (at * context + first) * width + head * headDim, rows, headDim, width, 1);
  }

  private static void pack(FloatMatrix b, FloatPanels panels) {
    panels.reset(b.rows(), b.columns());
    panels.pack(b, 0, panels.panels());
  }

  private static void clear(FloatMatrix m) {
    for (int r = 0; r < m.rows(); r++) {
      int at = m.offset() + r * m.rowStride();
      Arrays.fill(m.data(), at, at + m.columns(), 0f);
    }
  }
}
