package dev.nibble.quantizer.format;

/**
 * A module of a checkpoint and the names of its tensors, those of the packed format included.
 *
 * @param name such as {@code model.layers.0.self_attn.q_proj}
 */
public record ModuleName(String name) {
  /**
   * Weights as in the source.
   *
   * @return the tensor's name
   */
  public String weight() {
    return name + ".weight";
  }

  /**
   * Bias, one an output channel.
   *
   * @return the tensor's name
   */
  public String bias() {
    return name + ".bias";
  }

  /**
   * Packed codes, U8.
   *
   * @return the tensor's name
   */
  public String qweight() {
    return name + ".qweight";
  }

  /**
   * Packed scales, F16.
   *
   * @return the tensor's name
   */
  public String scales() {
    return name + ".scales";
  }

  /**
   * Packed zeros, U8; absent when symmetric.
   *
   * @return the tensor's name
   */
  public String zeros() {
    return name + ".zeros";
  }

  /**
   * Columns kept at 16 bits, I32 [n], ascending.
   *
   * @return the tensor's name
   */
  public String outlierColumns() {
    return name + ".outlier_columns";
  }

  /**
   * Weights of the columns kept at 16 bits, F16 [out, n].
   *
   * @return the tensor's name
   */
  public String outlierWeight() {
    return name + ".outlier_weight";
  }

  /**
   * Single values kept at 16 bits, F16 [nnz].
   *
   * @return the tensor's name
   */
  public String outlierValues() {
    return name + ".outlier_values";
  }

  /**
   * Where each row's single values begin, I32 [out + 1].
   *
   * @return the tensor's name
   */
  public String outlierRows() {
    return name + ".outlier_rows";
  }

  /**
   * Column of each single value, I32 [nnz].
   *
   * @return the tensor's name
   */
  public String outlierIndices() {
    return name + ".outlier_indices";
  }

  /**
   * Static activation scales, F32 [in / 32] (RPTQ).
   *
   * @return the tensor's name
   */
  public String clusterScales() {
    return name + ".cluster_scales";
  }

  /**
   * Static activation zeros, I32 [in / 32] (RPTQ).
   *
   * @return the tensor's name
   */
  public String clusterZeros() {
    return name + ".cluster_zeros";
  }

  /**
   * Bits of the static activations, I32 [1], where they are not the scheme's (RPTQ).
   *
   * @return the tensor's name
   */
  public String clusterBits() {
    return name + ".cluster_bits";
  }

  /**
   * The magnitude from which an input is not quantized, F32 [1] (LLM.int8()).
   *
   * @return the tensor's name
   */
  public String outlierThreshold() {
    return name + ".outlier_threshold";
  }

  /**
   * Order in which a norm's consumers store their columns, U16 [hidden] (RPTQ).
   *
   * @return the tensor's name
   */
  public String channelOrder() {
    return name + ".channel_order";
  }

  /**
   * Order in which an attention stores its RoPE pairs, U16 [kvHeads, headDim / 2] (RPTQ).
   *
   * @return the tensor's name
   */
  public String ropeOrder() {
    return name + ".rope_order";
  }

  @Override
  public String toString() {
    return name;
  }
}
