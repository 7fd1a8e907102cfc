package dev.nibble.quantizer.method;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.format.ModuleName;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.format.Tensor;
import dev.nibble.quantizer.format.TensorInfo;
import dev.nibble.quantizer.format.TensorNames;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What becomes of each tensor of a checkpoint, in the checkpoint's order.
 *
 * @param steps the work
 * @param keptModules modules with weights that stay as they are
 */
record QuantizationPlan(List<Step> steps, List<String> keptModules) {
  /** A quantized head has one scale a row. */
  private static final int HEAD_GROUP = 0;

  QuantizationPlan {
    steps = List.copyOf(steps);
    keptModules = List.copyOf(keptModules);
  }

  /** One source tensor and the tensors it becomes. */
  sealed interface Step {
    /** The tensor that is read. */
    String source();

    /** Size of the tensor that is read. */
    long sourceBytes();

    /** The tensors that are written, in this order. */
    List<TensorInfo> results();

    /** Size of the tensors that are written. */
    default long resultBytes() {
      return results().stream().mapToLong(TensorInfo::bytes).reduce(0, Math::addExact);
    }
  }

  /**
   * A tensor that stays as it is.
   *
   * @param info its description
   */
  record Copy(TensorInfo info) implements Step {
    @Override
    public String source() {
      return info.name();
    }

    @Override
    public long sourceBytes() {
      return info.bytes();
    }

    @Override
    public List<TensorInfo> results() {
      return List.of(info);
    }
  }

  /**
   * A linear's weight to pack.
   *
   * @param module the linear
   * @param source the tensor with its weights
   * @param sourceBytes size of it
   * @param layout what it is packed to
   * @param symmetric whether there are no zeros
   */
  record Pack(
      ModuleName module, String source, long sourceBytes, PackedLayout layout, boolean symmetric)
      implements Step {
    @Override
    public List<TensorInfo> results() {
      List<TensorInfo> results = new ArrayList<>();
      results.add(new TensorInfo(module.qweight(), DType.U8, List.of(layout.qweightBytes())));
      results.add(new TensorInfo(module.scales(), DType.F16, List.of(layout.scaleCount())));
      if (!symmetric) {
        results.add(new TensorInfo(module.zeros(), DType.U8, List.of(layout.scaleCount())));
      }
      return results;
    }

    /** Weights without padding. */
    long weights() {
      return Math.multiplyExact((long) layout.rows(), layout.columns());
    }
  }

  /**
   * Tensors that a calibrated block has already.
   *
   * @param source the tensor they stand for
   * @param sourceBytes size of it
   * @param results what is written
   * @param weights how many weights are packed in them, without padding
   * @param bundle the file that holds them
   */
  record Ready(String source, long sourceBytes, List<TensorInfo> results, long weights, Path bundle)
      implements Step {
    Ready {
      results = List.copyOf(results);
    }
  }

  /**
   * Plans a folder.
   *
   * @throws ModelFormatException if the checkpoint is packed already, lacks a linear, or has a
   *     tensor that a model of its family does not have
   */
  static QuantizationPlan of(Checkpoint source, QuantScheme scheme) throws ModelFormatException {
    ModelConfig config = source.config();
    if (config.quantization().isPresent()) {
      throw new ModelFormatException(
          source.folder().resolve("config.json"),
          "quantization_config",
          "the model is packed to "
              + config.scheme()
              + " already; quantize the checkpoint it came from");
    }
    TensorNames names = TensorNames.of(config.architecture());
    Map<String, Pack> packs = linears(source, config, names, scheme);
    Set<String> known = keptTensors(config, names);
    String head = names.head().weight();
    boolean packsHead = scheme.headBits() < 16;
    List<Step> steps = new ArrayList<>();
    for (String name : source.names()) {
      Pack pack = packs.get(name);
      if (pack != null) {
        steps.add(pack);
      } else if (known.contains(name) && !(packsHead && name.equals(head))) {
        steps.add(new Copy(info(source.find(name).orElseThrow())));
      } else if (!known.contains(name) && !TensorNames.isRedundant(name)) {
        throw new ModelFormatException(
            source.file(name),
            name,
            "expected a tensor of "
                + config.architecture().modelType()
                + ", found one that no such model has");
      }
    }
    List<String> kept = new ArrayList<>(List.of(names.embedding().name()));
    if (packsHead) {
      String weight = config.tiedEmbeddings() ? names.embedding().weight() : head;
      steps.add(
          pack(
              source,
              names.head(),
              weight,
              new PackedLayout(
                  scheme.headBits(), config.vocabSize(), config.hiddenSize(), HEAD_GROUP),
              scheme));
    } else {
      kept.add(names.head().name());
    }
    return new QuantizationPlan(steps, kept);
  }

  /** What a weight of the packed linears costs, or of the linears as they are when none is. */
  double bitsPerWeight(Checkpoint source) {
    long bytes = 0;
    long weights = 0;
    for (Step step : steps) {
      if (step instanceof Pack pack) {
        bytes = Math.addExact(bytes, pack.resultBytes());
        weights = Math.addExact(weights, pack.weights());
      } else if (step instanceof Ready ready && ready.weights() > 0) {
        bytes = Math.addExact(bytes, ready.resultBytes());
        weights = Math.addExact(weights, ready.weights());
      }
    }
    if (weights > 0) {
      return 8.0 * bytes / weights;
    }
    TensorNames names = TensorNames.of(source.config().architecture());
    String linear = names.linear(0, LinearRole.QUERY).weight();
    return 8.0 * source.find(linear).orElseThrow().dtype().bytes();
  }

  private static Map<String, Pack> linears(
      Checkpoint source, ModelConfig config, TensorNames names, QuantScheme scheme)
      throws ModelFormatException {
    Map<String, Pack> packs = new HashMap<>();
    for (int layer = 0; layer < config.layers(); layer++) {
      for (LinearRole role : names.linears()) {
        ModuleName module = names.linear(layer, role);
        int rows = config.rows(role);
        int columns = config.columns(role);
        if (scheme.quantizesWeights()) {
          PackedLayout layout =
              new PackedLayout(scheme.weightBits(), rows, columns, scheme.groupSize());
          packs.put(module.weight(), pack(source, module, module.weight(), layout, scheme));
        } else {
          source.require(module.weight(), rows, columns);
        }
        if (config.biased().contains(role)) {
          source.require(module.bias(), rows);
        } else if (source.find(module.bias()).isPresent()) {
          throw new ModelFormatException(
              source.file(module.bias()),
              module.bias(),
              "config.json says that this linear has no bias");
        }
      }
    }
    return packs;
  }

  private static Pack pack(
      Checkpoint source, ModuleName module, String weight, PackedLayout layout, QuantScheme scheme)
      throws ModelFormatException {
    Tensor tensor = source.require(weight, layout.rows(), layout.columns());
    switch (tensor.dtype()) {
      case F32, F16, BF16 -> {}
      case I8, U8, U16, I32, I64 ->
          throw new ModelFormatException(
              source.file(weight),
              weight,
              "expected F32, F16 or BF16 weights, found " + tensor.dtype());
    }
    return new Pack(module, weight, tensor.data().byteSize(), layout, scheme.symmetric());
  }

  /** Every tensor a model of the family may have, the linears' weights included. */
  private static Set<String> keptTensors(ModelConfig config, TensorNames names) {
    List<ModuleName> modules = new ArrayList<>(List.of(names.embedding(), names.finalNorm()));
    names.positions().ifPresent(modules::add);
    modules.add(names.head());
    for (int layer = 0; layer < config.layers(); layer++) {
      modules.add(names.attentionNorm(layer));
      modules.add(names.mlpNorm(layer));
      names.queryNorm(layer).ifPresent(modules::add);
      names.keyNorm(layer).ifPresent(modules::add);
      for (LinearRole role : names.linears()) {
        modules.add(names.linear(layer, role));
      }
    }
    Set<String> known = new HashSet<>();
    for (ModuleName module : modules) {
      known.add(module.weight());
      known.add(module.bias());
    }
    return known;
  }

  private static TensorInfo info(Tensor tensor) {
    return new TensorInfo(tensor.name(), tensor.dtype(), tensor.shape());
  }
}
