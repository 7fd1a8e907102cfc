package dev.nibble.quantizer.calibration;

import dev.nibble.quantizer.format.Architecture;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.format.ModuleName;
import dev.nibble.quantizer.format.TensorNames;
import dev.nibble.quantizer.format.TensorSource;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The parameters of one transformer block in float32. Mutable: methods write into the arrays, which
 * are the block's own. Not thread-safe.
 */
public final class TransformerBlock {
  private final ModelConfig config;
  private final int layer;
  private final Map<LinearRole, Parameters> linears = new EnumMap<>(LinearRole.class);
  private final Parameters attentionNorm;
  private final Parameters mlpNorm;
  private final Optional<float[]> queryNorm;
  private final Optional<float[]> keyNorm;

  /**
   * Weights and, where there is one, the bias of a linear or a norm.
   *
   * @param weight a linear's [out, in], a norm's [hidden]
   * @param bias one an output channel
   */
  @SuppressWarnings("ArrayRecordComponent") // shared, not compared
  public record Parameters(float[] weight, Optional<float[]> bias) {
    /**
     * A copy.
     *
     * @return parameters with arrays of their own
     */
    public Parameters copy() {
      return new Parameters(weight.clone(), bias.map(float[]::clone));
    }

    /**
     * The bias, made of zeros if there is none.
     *
     * @param channels its length
     * @return the bias itself, or a new array
     */
    public float[] biasOrZeros(int channels) {
      return bias.orElseGet(() -> new float[channels]);
    }
  }

  private TransformerBlock(
      ModelConfig config,
      int layer,
      Parameters attentionNorm,
      Parameters mlpNorm,
      Optional<float[]> queryNorm,
      Optional<float[]> keyNorm) {
    this.config = config;
    this.layer = layer;
    this.attentionNorm = attentionNorm;
    this.mlpNorm = mlpNorm;
    this.queryNorm = queryNorm;
    this.keyNorm = keyNorm;
  }

  /**
   * Reads a block.
   *
   * @param source an unquantized checkpoint's tensors
   * @param config its config
   * @param layer index of the block
   * @return the block
   * @throws ModelFormatException if a tensor is missing, has another shape, or holds a number that
   *     is not finite
   */
  public static TransformerBlock load(TensorSource source, ModelConfig config, int layer)
      throws ModelFormatException {
    TensorNames names = TensorNames.of(config.architecture());
    Reader reader = new Reader(source);
    int hidden = config.hiddenSize();
    Optional<ModuleName> queryNorm = names.queryNorm(layer);
    Optional<ModuleName> keyNorm = names.keyNorm(layer);
    TransformerBlock block =
        new TransformerBlock(
            config,
            layer,
            reader.parameters(names.attentionNorm(layer), hidden),
            reader.parameters(names.mlpNorm(layer), hidden),
            queryNorm.isPresent()
                ? Optional.of(reader.floats(queryNorm.get().weight(), config.headDim()))
                : Optional.empty(),
            keyNorm.isPresent()
                ? Optional.of(reader.floats(keyNorm.get().weight(), config.headDim()))
                : Optional.empty());
    for (LinearRole role : names.linears()) {
      block.linears.put(
          role,
          reader.parameters(names.linear(layer, role), config.rows(role), config.columns(role)));
    }
    return block;
  }

  /** Reads tensors as floats, and refuses those that are not finite. */
  private record Reader(TensorSource source) {
    Parameters parameters(ModuleName module, long... shape) throws ModelFormatException {
      float[] weight = floats(module.weight(), shape);
      return new Parameters(
          weight,
          source.find(module.bias()).isPresent()
              ? Optional.of(floats(module.bias(), shape[0]))
              : Optional.empty());
    }

    float[] floats(String name, long... shape) throws ModelFormatException {
      float[] values = source.require(name, shape).toFloats();
      for (int i = 0; i < values.length; i++) {
        if (!Float.isFinite(values[i])) {
          throw new ModelFormatException(
              source.file(name), name, "expected finite numbers, found " + values[i] + " at " + i);
        }
      }
      return values;
    }
  }

  /**
   * The model's shape.
   *
   * @return the config
   */
  public ModelConfig config() {
    return config;
  }

  /**
   * Index of the block.
   *
   * @return from 0
   */
  public int layer() {
    return layer;
  }

  /**
   * The linears the block has.
   *
   * @return their roles, in the order of the arithmetic
   */
  public List<LinearRole> roles() {
    return List.copyOf(linears.keySet());
  }

  /**
   * Parameters of a linear.
   *
   * @param role which
   * @return the live arrays
   * @throws IllegalArgumentException if the block has no such linear
   */
  public Parameters linear(LinearRole role) {
    Parameters linear = linears.get(role);
    if (linear == null) {
      throw new IllegalArgumentException("block " + layer + " has no " + role);
    }
    return linear;
  }

  /**
   * Replaces a linear's parameters.
   *
   * @param role which
   * @param parameters the new ones
   */
  public void setLinear(LinearRole role, Parameters parameters) {
    linears.put(role, parameters);
  }

  /**
   * Parameters of the norm before query, key and value; its bias is there in OPT.
   *
   * @return the live arrays
   */
  public Parameters attentionNorm() {
    return attentionNorm;
  }

  /**
   * Parameters of the norm before the MLP.
   *
   * @return the live arrays
   */
  public Parameters mlpNorm() {
    return mlpNorm;
  }

  /**
   * RMSNorm weights of each query head (Qwen3).
   *
   * @return [headDim], live, or empty
   */
  public Optional<float[]> queryNorm() {
    return queryNorm;
  }

  /**
   * RMSNorm weights of each key head (Qwen3).
   *
   * @return [headDim], live, or empty
   */
  public Optional<float[]> keyNorm() {
    return keyNorm;
  }

  /**
   * Whether norms subtract the mean.
   *
   * @return true for OPT's LayerNorm, false for RMSNorm
   */
  public boolean centresNorms() {
    return config.architecture() == Architecture.OPT;
  }

  /**
   * The module of a linear.
   *
   * @param role which
   * @return its name in the checkpoint
   */
  public ModuleName name(LinearRole role) {
    return TensorNames.of(config.architecture()).linear(layer, role);
  }

  /**
   * A copy.
   *
   * @return a block with arrays of its own
   */
  public TransformerBlock copy() {
    TransformerBlock copy =
        new TransformerBlock(
            config,
            layer,
            attentionNorm.copy(),
            mlpNorm.copy(),
            queryNorm.map(float[]::clone),
            keyNorm.map(float[]::clone));
    linears.forEach((role, parameters) -> copy.linears.put(role, parameters.copy()));
    return copy;
  }
}
