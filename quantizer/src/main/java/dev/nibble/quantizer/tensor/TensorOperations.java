package dev.nibble.quantizer.tensor;

import java.lang.foreign.Arena;

/**
 * The operations a transformer needs, over row-major float arrays [tokens, width]. Every result is
 * a function of its inputs alone: the number of threads and the other rows of a batch change no
 * bit. Instances are not thread-safe; their worker threads are their own.
 */
public interface TensorOperations extends AutoCloseable {
  /** Columns that share a fixed scale and zero. */
  int CLUSTER_COLUMNS = 32;

  /**
   * Opens the fastest provider there is: the Vector API where its module is readable, otherwise
   * plain loops, with one warning a process that names the flag to start Java with. The system
   * property {@code nibble.ops} ({@code scalar} or {@code vector}) overrides the choice.
   *
   * @param threads how many threads compute, the caller's included; plain loops use one
   * @return a provider for one thread to drive
   * @throws IllegalArgumentException if the property names a provider that is not there
   */
  static TensorOperations best(int threads) {
    return ProviderChoice.open(threads);
  }

  /**
   * What does the work, for logs and {@code doctor}.
   *
   * @return such as {@code vector 512-bit, 2 threads}
   */
  String name();

  /**
   * Puts weights into the form this provider multiplies with.
   *
   * @param weights the weights; their memory may go once this returns, unless the provider reads it
   *     in place, which {@link PreparedMatrix#bytes} == 0 says
   * @param arena owns the prepared memory
   * @return the prepared weights
   */
  PreparedMatrix prepare(WeightMatrix weights, Arena arena);

  /**
   * y[t, n] = sum_k x[t, k] w[n, k].
   *
   * @param x inputs, from {@code xOffset}, tokens x columns
   * @param xOffset first element
   * @param tokens rows of x and y
   * @param w weights made by this provider
   * @param y outputs, from {@code yOffset}, tokens x rows
   * @param yOffset first element
   */
  void matmul(float[] x, int xOffset, int tokens, PreparedMatrix w, float[] y, int yOffset);

  /**
   * As {@link #matmul(float[], int, int, PreparedMatrix, float[], int)}, with integer inputs and
   * packed weights.
   *
   * @param x inputs
   * @param w packed weights made by this provider, whose group size is x's
   * @param y outputs, from {@code yOffset}, x.tokens() x rows
   * @param yOffset first element
   */
  void matmul(QuantizedActivations x, PreparedMatrix w, float[] y, int yOffset);

  /**
   * Quantizes activations per token.
   *
   * <p>Asymmetric: scale = (max - min) / (2^bits - 1) within [1e-5, 1e4], zero = round(-min /
   * scale). Symmetric: scale = max |x| / (2^(bits-1) - 1) within the same bounds.
   *
   * @param x inputs, from {@code xOffset}, tokens x out.width()
   * @param xOffset first element
   * @param tokens rows
   * @param out receives codes, scales, zeros and sums
   */
  void quantize(float[] x, int xOffset, int tokens, QuantizedActivations out);

  /**
   * Quantizes activations with fixed scales and zeros, one for each run of {@link #CLUSTER_COLUMNS}
   * columns, as RPTQ does: a = clamp(round(x / scale) + zero, 0, 2^bits - 1). Every token's scale
   * is 1 and its zero 2^(bits-1): the weight scales and a bias hold the rest.
   *
   * @param x inputs, from {@code xOffset}, tokens x out.width()
   * @param xOffset first element
   * @param tokens rows
   * @param bits code width, whatever {@code out} was made for
   * @param clusterScales one a run of columns
   * @param clusterZeros one a run of columns, 0 to 2^bits - 1
   * @param out receives codes, scales, zeros and sums
   */
  void quantizeStatic(
      float[] x,
      int xOffset,
      int tokens,
      int bits,
      float[] clusterScales,
      int[] clusterZeros,
      QuantizedActivations out);

  /**
   * Quantizes and restores each run of {@code width} elements, as queries after RoPE are.
   *
   * @param x elements from {@code offset}, runs x width, changed in place
   * @param offset first element
   * @param runs number of runs
   * @param width elements of a run
   * @param bits code width
   */
  void fakeQuantize(float[] x, int offset, int runs, int width, int bits);

  /**
   * RMSNorm: y = x / sqrt(mean(x^2) + epsilon) * weight.
   *
   * @param x inputs, from {@code offset}, rows x width
   * @param offset first element of x and y
   * @param rows rows of x
   * @param weight one a channel; its length is the width
   * @param epsilon added to the mean square
   * @param y outputs at the same offset; may be x
   */
  void rmsNorm(float[] x, int offset, int rows, float[] weight, float epsilon, float[] y);

  /**
   * LayerNorm: y = (x - mean) / sqrt(variance + epsilon) * weight + bias.
   *
   * @param x inputs, from {@code offset}, rows x width
   * @param offset first element of x and y
   * @param rows rows of x
   * @param weight one a channel; its length is the width
   * @param bias one a channel
   * @param epsilon added to the variance
   * @param y outputs at the same offset; may be x
   */
  void layerNorm(
      float[] x, int offset, int rows, float[] weight, float[] bias, float epsilon, float[] y);

  /**
   * Rotates heads in place, rotate-half form: channels i and i + headDim/2 of a head turn together.
   *
   * @param x tokens x heads x headDim, from 0
   * @param tokens rows
   * @param heads heads of a row
   * @param rope the tables
   * @param positions position of each row
   */
  void rope(float[] x, int tokens, int heads, RotaryEmbedding rope, int[] positions);

  /**
   * SwiGLU: gate = silu(gate) * up.
   *
   * @param gate changed in place
   * @param up as long as gate
   * @param length elements
   */
  void swiGlu(float[] gate, float[] up, int length);

  /**
   * GELU in place, x * (1 + erf(x / sqrt 2)) / 2.
   *
   * @param x changed in place
   * @param length elements
   */
  void gelu(float[] x, int length);

  /**
   * ReLU in place.
   *
   * @param x changed in place
   * @param length elements
   */
  void relu(float[] x, int length);

  /**
   * Softmax in place over each row.
   *
   * @param x rows x width, from {@code offset}
   * @param offset first element
   * @param rows rows
   * @param width elements of a row
   */
  void softmax(float[] x, int offset, int rows, int width);

  /**
   * x += y.
   *
   * @param x changed in place
   * @param y as long as x
   * @param length elements
   */
  void add(float[] x, float[] y, int length);

  /**
   * Adds a bias to each row.
   *
   * @param x rows x bias.length, changed in place
   * @param rows rows
   * @param bias one a channel
   */
  void addBias(float[] x, int rows, float[] bias);

  /**
   * Appends keys and values of consecutive tokens to a cache, quantizing them as it is made for.
   *
   * @param cache one layer of one sequence
   * @param position position of the first token
   * @param keys after RoPE, from {@code offset}, tokens x kvHeads x headDim
   * @param values likewise
   * @param offset first element of both
   * @param tokens rows
   */
  void append(KvLayer cache, int position, float[] keys, float[] values, int offset, int tokens);

  /**
   * Causal attention of consecutive tokens of one sequence over its cache: softmax(q k^T /
   * sqrt(headDim)) v. Query head h reads key head h / (heads / kvHeads). What the cache holds
   * beyond the last token is never read.
   *
   * @param q queries, from {@code offset}, tokens x heads x headDim
   * @param offset first element of q and out
   * @param tokens rows
   * @param heads query heads
   * @param cache holds positions 0 to position + tokens - 1
   * @param position position of the first query
   * @param window positions a query sees, its own included; 0 for all
   * @param out outputs, as q; not q
   */
  void attention(
      float[] q,
      int offset,
      int tokens,
      int heads,
      KvLayer cache,
      int position,
      int window,
      float[] out);

  /** Ends the worker threads; closing twice does nothing. */
  @Override
  void close();
}
