package dev.nibble.quantizer.format;

import java.util.List;
import java.util.Optional;

/** Where a family's checkpoints keep their tensors. The only place that spells these names. */
public final class TensorNames {
  /** Modules outside the blocks that hold the token embedding. */
  private final ModuleName embedding;

  private final Optional<ModuleName> positions;
  private final ModuleName finalNorm;
  private final String layers;
  private final Architecture architecture;

  private TensorNames(Architecture architecture) {
    this.architecture = architecture;
    boolean opt = architecture == Architecture.OPT;
    String root = opt ? "model.decoder." : "model.";
    embedding = new ModuleName(root + "embed_tokens");
    positions = opt ? Optional.of(new ModuleName(root + "embed_positions")) : Optional.empty();
    finalNorm = new ModuleName(root + (opt ? "final_layer_norm" : "norm"));
    layers = root + "layers.";
  }

  /**
   * The names of a family.
   *
   * @param architecture the family
   * @return its names
   */
  public static TensorNames of(Architecture architecture) {
    return new TensorNames(architecture);
  }

  /**
   * Token embedding, weight [vocab, hidden]; the head's weight too when they are tied.
   *
   * @return the module
   */
  public ModuleName embedding() {
    return embedding;
  }

  /**
   * Learned positions, weight [maxPositions + positionOffset, hidden]; only OPT has them.
   *
   * @return the module, or empty
   */
  public Optional<ModuleName> positions() {
    return positions;
  }

  /**
   * Row of the learned positions that position 0 reads.
   *
   * @return rows to skip: 2 for OPT, else 0
   */
  public int positionOffset() {
    return architecture == Architecture.OPT ? 2 : 0;
  }

  /**
   * The norm before the head.
   *
   * @return the module
   */
  public ModuleName finalNorm() {
    return finalNorm;
  }

  /**
   * The output head, weight [vocab, hidden].
   *
   * @return the module; an unpacked tied model has no tensor of it
   */
  public ModuleName head() {
    return new ModuleName("lm_head");
  }

  /**
   * The linears a block has.
   *
   * @return their roles, in the order of the arithmetic
   */
  public List<LinearRole> linears() {
    return architecture == Architecture.OPT
        ? List.of(
            LinearRole.QUERY,
            LinearRole.KEY,
            LinearRole.VALUE,
            LinearRole.OUTPUT,
            LinearRole.UP,
            LinearRole.DOWN)
        : List.of(LinearRole.values());
  }

  /**
   * A linear of a block.
   *
   * @param layer index of the block
   * @param role one of {@link #linears}
   * @return the module
   * @throws IllegalArgumentException if the family has no such linear
   */
  public ModuleName linear(int layer, LinearRole role) {
    boolean opt = architecture == Architecture.OPT;
    return inLayer(
        layer,
        switch (role) {
          case QUERY -> "self_attn.q_proj";
          case KEY -> "self_attn.k_proj";
          case VALUE -> "self_attn.v_proj";
          case OUTPUT -> opt ? "self_attn.out_proj" : "self_attn.o_proj";
          case GATE -> {
            if (opt) {
              throw new IllegalArgumentException("OPT has no gate");
            }
            yield "mlp.gate_proj";
          }
          case UP -> opt ? "fc1" : "mlp.up_proj";
          case DOWN -> opt ? "fc2" : "mlp.down_proj";
        });
  }

  /**
   * The attention of a block, which owns {@link ModuleName#ropeOrder}.
   *
   * @param layer index of the block
   * @return the module
   */
  public ModuleName attention(int layer) {
    return inLayer(layer, "self_attn");
  }

  /**
   * The norm before q, k and v.
   *
   * @param layer index of the block
   * @return the module
   */
  public ModuleName attentionNorm(int layer) {
    return inLayer(
        layer, architecture == Architecture.OPT ? "self_attn_layer_norm" : "input_layernorm");
  }

  /**
   * The norm before the MLP.
   *
   * @param layer index of the block
   * @return the module
   */
  public ModuleName mlpNorm(int layer) {
    return inLayer(
        layer, architecture == Architecture.OPT ? "final_layer_norm" : "post_attention_layernorm");
  }

  /**
   * RMSNorm of each query head, weight [headDim]; only Qwen3 has it.
   *
   * @param layer index of the block
   * @return the module, or empty
   */
  public Optional<ModuleName> queryNorm(int layer) {
    return headNorm(layer, "self_attn.q_norm");
  }

  /**
   * RMSNorm of each key head, weight [headDim]; only Qwen3 has it.
   *
   * @param layer index of the block
   * @return the module, or empty
   */
  public Optional<ModuleName> keyNorm(int layer) {
    return headNorm(layer, "self_attn.k_norm");
  }

  /**
   * Whether a tensor says nothing a loader needs: the RoPE tables that old checkpoints carry.
   *
   * @param tensor a tensor's name
   * @return true if it may be passed over
   */
  public static boolean isRedundant(String tensor) {
    return tensor.endsWith(".rotary_emb.inv_freq");
  }

  private Optional<ModuleName> headNorm(int layer, String name) {
    return architecture == Architecture.QWEN3
        ? Optional.of(inLayer(layer, name))
        : Optional.empty();
  }

  private ModuleName inLayer(int layer, String name) {
    return new ModuleName(layers + layer + "." + name);
  }
}
