package dev.nibble.runtime.model;

import dev.nibble.quantizer.tensor.WeightMatrix;
import java.util.Optional;

/**
 * A linear layer, y = W x + bias, and what a quantization method may have added to it.
 *
 * @param name its name in the checkpoint, such as {@code model.layers.0.self_attn.q_proj}
 * @param weights W, [out, in]
 * @param bias [out]
 * @param outlierColumns input channels kept at 16 bits
 * @param outlierValues single weights kept at 16 bits
 * @param clusters static quantization of the input
 * @param outlierThreshold the magnitude from which a token's input is not quantized; infinity for
 *     none
 */
public record Linear(
    String name,
    WeightMatrix weights,
    Optional<float[]> bias,
    Optional<OutlierColumns> outlierColumns,
    Optional<OutlierValues> outlierValues,
    Optional<Clusters> clusters,
    float outlierThreshold) {

  /**
   * Input channels kept at 16 bits: y += W' x[columns].
   *
   * @param columns their indices, ascending
   * @param weights W', F16 [out, columns]
   */
  @SuppressWarnings("ArrayRecordComponent") // weights, never compared
  public record OutlierColumns(int[] columns, WeightMatrix.Dense weights) {}

  /**
   * Single weights kept at 16 bits, rows compressed (CSR).
   *
   * @param rowStarts [out + 1]; row n's entries are rowStarts[n] to rowStarts[n + 1] - 1
   * @param columns input channel of each entry
   * @param values of each entry
   */
  @SuppressWarnings("ArrayRecordComponent") // weights, never compared
  public record OutlierValues(int[] rowStarts, int[] columns, float[] values) {}

  /**
   * Static quantization of the input in clusters of 32 channels (RPTQ): a = clamp(round(x / scale)
   * + zero, 0, 2^bits - 1). The weights' scales and the bias have it folded in.
   *
   * @param bits code width
   * @param scales [in / 32]
   * @param zeros [in / 32]
   */
  @SuppressWarnings("ArrayRecordComponent") // weights, never compared
  public record Clusters(int bits, float[] scales, int[] zeros) {}

  /**
   * A linear that no method has added to.
   *
   * @param name its name
   * @param weights W, [out, in]
   * @param bias [out]
   * @return the linear
   */
  public static Linear plain(String name, WeightMatrix weights, Optional<float[]> bias) {
    return new Linear(
        name,
        weights,
        bias,
        Optional.empty(),
        Optional.empty(),
        Optional.empty(),
        Float.POSITIVE_INFINITY);
  }

  /**
   * Output channels.
   *
   * @return rows of the weights
   */
  public int out() {
    return weights.rows();
  }

  /**
   * Input channels.
   *
   * @return columns of the weights
   */
  public int in() {
    return weights.columns();
  }
}
