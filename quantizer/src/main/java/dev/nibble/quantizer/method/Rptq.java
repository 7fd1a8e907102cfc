package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.InputQuantizer;
import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.calibration.TransformerBlock.Parameters;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.format.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/**
 * RPTQ, "Reorder-based Post-training Quantization for Large Language Models", Yuan et al. 2023,
 * arXiv 2304.01089: channels are brought together in clusters of similar range, each cluster's
 * inputs have a static scale, and the reorder costs nothing, being fused into the norms and the
 * weights.
 *
 * <p>Here clusters are multiples of 32 channels, so that a cluster's scale and zero move into the
 * scales and the bias of weights in groups of 32. Queries, keys and values are quantized per token
 * and head, which no order within a head changes; R2 is there all the same, by RoPE pairs. Weights
 * are rounded by GPTQ on the quantized inputs, as in the paper. With activations at 16 bits nothing
 * is static: the order and GPTQ are what is left of the method.
 */
final class Rptq implements BlockMethod {
  static final int DEFAULT_CLUSTERS = 32;

  private final int clusters;
  private final OptionalInt normBits;

  /** Creates the method with at most so many clusters an input. */
  Rptq(int clusters) {
    this(clusters, OptionalInt.empty());
  }

  /**
   * Creates the method.
   *
   * @param clusters of an input, at most
   * @param normBits at least so many bits for the inputs that norms make; the paper's results have
   *     8 there
   */
  Rptq(int clusters, OptionalInt normBits) {
    if (clusters < 1) {
      throw new IllegalArgumentException("--clusters " + clusters + ": expected at least 1");
    }
    normBits.ifPresent(bits -> {
      if (bits != 4 && bits != 6 && bits != 8) {
        throw new IllegalArgumentException("--norm-bits " + bits + ": expected 4, 6 or 8");
      }
    });
    this.clusters = clusters;
    this.normBits = normBits;
  }

  @Override
  public String name() {
    return "rptq";
  }

  @Override
  public Map<String, String> settings() {
    Map<String, String> settings = new LinkedHashMap<>();
    settings.put("clusters", Integer.toString(clusters));
    normBits.ifPresent(bits -> settings.put("norm_bits", Integer.toString(bits)));
    return settings;
  }

  private int bits(InputSite site, QuantScheme scheme) {
    int bits = scheme.activationBits();
    return switch (site) {
      case ATTENTION, MLP -> Math.max(bits, normBits.orElse(bits));
      case OUTPUT, DOWN -> bits;
    };
  }

  @Override
  public void check(ModelConfig config, QuantScheme scheme) {
    if (normBits.isPresent() && !scheme.quantizesActivations()) {
      throw new IllegalArgumentException(
          "--norm-bits "
              + normBits.getAsInt()
              + ": scheme "
              + scheme
              + " keeps inputs at 16 bits; it is for schemes such as W4A4g32");
    }
    if (scheme.quantizesActivations()
        && (!scheme.quantizesWeights() || scheme.groupSize() != StaticInputs.CHANNELS)) {
      throw new IllegalArgumentException(
          "method rptq cannot do "
              + scheme
              + ": static inputs need weights in groups of 32, such as W4A4g32, W4A8g32 or"
              + " W4A4g32Q4KV4; with A16 it takes every scheme, such as W4A16KV4");
    }
    for (InputSite site : InputSite.values()) {
      if (site.width(config) % StaticInputs.CHANNELS != 0) {
        throw new IllegalArgumentException(
            "method rptq clusters channels by 32; the model has inputs of "
                + site.width(config)
                + " channels");
      }
    }
  }

  @Override
  public QuantizedBlock quantize(BlockTask task) {
    TransformerBlock source = task.block();
    ModelConfig config = source.config();
    QuantScheme scheme = task.scheme();
    ReorderStatistics statistics = new ReorderStatistics(task);
    ReorderedClusters reordered = new ReorderedClusters(statistics, config, clusters, task.seed());
    BlockOrder order = reordered.order();
    TransformerBlock stored = order.apply(source);
    Map<InputSite, StaticInputs> inputs = new EnumMap<>(InputSite.class);
    if (scheme.quantizesActivations()) {
      for (InputSite site : InputSite.values()) {
        inputs.put(
            site,
            StaticInputs.of(
                statistics.of(site),
                order.columns(site, config),
                reordered.of(site),
                bits(site, scheme)));
      }
    }
    BlockPrecision precision = precision(order, inputs, config, scheme);
    Result result = new Result(source);
    result.tensors.addAll(order.tensors(source));
    if (scheme.quantizesWeights()) {
      BlockHessians hessians = new BlockHessians(task, precision);
      for (InputSite site : InputSite.values()) {
        round(site, stored, task, hessians, order, inputs.get(site), result);
      }
    } else {
      source.roles().forEach(role -> result.keep(role, stored.linear(role)));
    }
    return new QuantizedBlock(
        result.linears, result.tensors, result.errors, order.inverse().apply(stored), precision);
  }

  /** What becomes of a block. */
  private record Result(
      TransformerBlock source,
      Map<LinearRole, QuantizedLinear> linears,
      Map<LinearRole, Double> errors,
      List<Tensor> tensors) {
    Result(TransformerBlock source) {
      this(
          source,
          new EnumMap<>(LinearRole.class),
          new EnumMap<>(LinearRole.class),
          new ArrayList<>());
    }

    void keep(LinearRole role, Parameters stored) {
      ModelConfig config = source.config();
      tensors.add(
          ExactFloats.tensor(
              source.name(role).weight(),
              stored.weight(),
              List.of((long) config.rows(role), (long) config.columns(role))));
      addBias(role, stored.bias().orElse(null));
    }

    void addBias(LinearRole role, float @Nullable [] bias) {
      if (bias != null) {
        tensors.add(QuantizedBlock.floats(source.name(role).bias(), bias));
      }
    }
  }

  /** Rounds a site's linears; the stored block gets the weights that the codes stand for. */
  private static void round(
      InputSite site,
      TransformerBlock stored,
      BlockTask task,
      BlockHessians hessians,
      BlockOrder order,
      @Nullable StaticInputs inputs,
      Result result) {
    ModelConfig config = stored.config();
    int[] columns = order.columns(site, config);
    float[] units = inputs == null ? ones(columns.length) : inputs.units();
    BlockHessians.Rounding rounding =
        hessians.rounding(
            BlockHessians.transformed(hessians.of(site), columns, units), columns.length);
    for (LinearRole role : stored.roles()) {
      if (InputSite.of(role) == site) {
        Parameters exact = stored.linear(role);
        float[] weight = inputs == null ? exact.weight() : inputs.scaled(exact.weight());
        QuantizedLinear codes = rounding.round(weight, task.layout(role));
        float[] rounded = inputs == null ? codes.toFloats() : inputs.unscaled(codes.toFloats());
        result.linears.put(role, codes);
        result.errors.put(role, QuantizedBlock.relativeError(exact.weight(), rounded));
        if (inputs == null) {
          result.addBias(role, exact.bias().orElse(null));
        } else {
          result.addBias(role, inputs.folded(exact.biasOrZeros(config.rows(role)), codes));
          result.tensors.addAll(inputs.tensors(stored.name(role), task.scheme().activationBits()));
        }
        stored.setLinear(role, new Parameters(rounded, exact.bias()));
      }
    }
  }

  private static float[] ones(int count) {
    float[] ones = new float[count];
    Arrays.fill(ones, 1f);
    return ones;
  }

  private static BlockPrecision precision(
      BlockOrder order,
      Map<InputSite, StaticInputs> inputs,
      ModelConfig config,
      QuantScheme scheme) {
    if (inputs.isEmpty()) {
      return BlockPrecision.of(scheme);
    }
    Map<InputSite, InputQuantizer> quantizers = new EnumMap<>(InputSite.class);
    inputs.forEach(
        (site, fixed) -> quantizers.put(site, fixed.quantizer(order.columns(site, config))));
    return new BlockPrecision(quantizers, scheme.queryBits(), scheme.kvBits());
  }
}
