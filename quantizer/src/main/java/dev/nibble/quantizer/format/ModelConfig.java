package dev.nibble.quantizer.format;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * The shape of a transformer, from {@code config.json}, with every default filled in.
 *
 * @param architecture the model family
 * @param vocabSize rows of the embedding
 * @param hiddenSize width of the residual stream
 * @param intermediateSize width of the MLP
 * @param layers number of blocks
 * @param heads query heads
 * @param kvHeads key and value heads; divides {@code heads}
 * @param headDim channels of one head
 * @param maxPositions longest context the model was made for
 * @param normEpsilon epsilon of its norms
 * @param rope rotary embedding; empty for learned positions
 * @param slidingWindows for each layer the tokens a query sees, itself included, or 0 for all
 * @param tiedEmbeddings whether the head is the embedding
 * @param activation the MLP's non-linearity
 * @param biased linears that have a bias in the checkpoint; a method may give others one
 * @param bosIds beginning-of-text tokens; may be empty. Whether a text gets one is the tokenizer's
 *     to say
 * @param eosIds tokens that end a text, {@code generation_config.json} included; may be empty
 * @param quantization the packed format's settings; empty for an unquantized checkpoint
 */
public record ModelConfig(
    Architecture architecture,
    int vocabSize,
    int hiddenSize,
    int intermediateSize,
    int layers,
    int heads,
    int kvHeads,
    int headDim,
    int maxPositions,
    float normEpsilon,
    Optional<RopeConfig> rope,
    List<Integer> slidingWindows,
    boolean tiedEmbeddings,
    Activation activation,
    Set<LinearRole> biased,
    List<Integer> bosIds,
    List<Integer> eosIds,
    Optional<QuantizationConfig> quantization) {

  /** The MLP's non-linearity. */
  public enum Activation {
    /** SwiGLU: silu(gate) times up. */
    SILU,
    /** ReLU between two linears (OPT). */
    RELU,
    /** GELU between two linears, the erf form. */
    GELU
  }

  /**
   * Rotary embedding, rotate-half form.
   *
   * @param theta the base
   * @param scaling llama3 frequency scaling, if any
   */
  public record RopeConfig(double theta, Optional<Llama3Scaling> scaling) {}

  /**
   * Llama 3.1 frequency scaling.
   *
   * @param factor how much low frequencies are slowed
   * @param lowFrequencyFactor bound of the low band
   * @param highFrequencyFactor bound of the high band
   * @param originalMaxPositions context the base model was trained for
   */
  public record Llama3Scaling(
      double factor,
      double lowFrequencyFactor,
      double highFrequencyFactor,
      int originalMaxPositions) {}

  /** Copies the collections. */
  public ModelConfig {
    slidingWindows = List.copyOf(slidingWindows);
    biased = Set.copyOf(biased);
    bosIds = List.copyOf(bosIds);
    eosIds = List.copyOf(eosIds);
  }

  /**
   * Reads {@code config.json} and {@code generation_config.json}. Fields that change the arithmetic
   * are read and checked, or refused by name when the value is not supported; fields known to say
   * nothing about it are passed over; any other field is refused by name unless it is null, false
   * or empty.
   *
   * @param folder a model folder
   * @return the config
   * @throws ModelFormatException if a file breaks its format or the model is not supported
   * @throws java.nio.file.NoSuchFileException if there is no config.json
   * @throws IOException if reading fails
   */
  public static ModelConfig read(Path folder) throws IOException {
    Path file = folder.resolve(ConfigReader.FILE_NAME);
    return ConfigReader.read(folder, ModelFile.read(file, ConfigReader.MAX_BYTES));
  }

  /**
   * Output channels of a linear.
   *
   * @param role which
   * @return rows of its weight
   */
  public int rows(LinearRole role) {
    return switch (role) {
      case QUERY -> heads * headDim;
      case KEY, VALUE -> kvHeads * headDim;
      case OUTPUT, DOWN -> hiddenSize;
      case GATE, UP -> intermediateSize;
    };
  }

  /**
   * Input channels of a linear.
   *
   * @param role which
   * @return columns of its weight
   */
  public int columns(LinearRole role) {
    return switch (role) {
      case QUERY, KEY, VALUE, GATE, UP -> hiddenSize;
      case OUTPUT -> heads * headDim;
      case DOWN -> intermediateSize;
    };
  }

  /**
   * The scheme the model runs at.
   *
   * @return the packed scheme, or W16A16
   */
  public QuantScheme scheme() {
    return quantization.map(QuantizationConfig::scheme).orElse(QuantScheme.W16A16);
  }
}
