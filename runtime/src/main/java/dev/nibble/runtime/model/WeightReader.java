package dev.nibble.runtime.model;

import dev.nibble.quantizer.format.Architecture;
import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.format.ModuleName;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.format.TensorNames;
import dev.nibble.quantizer.format.TensorSource;
import dev.nibble.quantizer.tensor.TensorOperations;
import dev.nibble.quantizer.tensor.WeightMatrix;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Sorts a model's tensors by role, checking each against the config. */
final class WeightReader {
  private final CheckedTensors tensors;
  private final ModelConfig config;
  private final TensorNames names;
  private final QuantScheme scheme;
  private final int hidden;
  private final int queries;
  private final int keys;

  private WeightReader(TensorSource source, ModelConfig config) {
    this.config = config;
    tensors = new CheckedTensors(source);
    names = TensorNames.of(config.architecture());
    scheme = config.scheme();
    hidden = config.hiddenSize();
    queries = Math.multiplyExact(config.heads(), config.headDim());
    keys = Math.multiplyExact(config.kvHeads(), config.headDim());
  }

  static ModelWeights read(TensorSource source, ModelConfig config, ModelWeights.Memory memory)
      throws ModelFormatException {
    return new WeightReader(source, config).read(memory);
  }

  private ModelWeights read(ModelWeights.Memory memory) throws ModelFormatException {
    var embedding = tensors.matrix(names.embedding().weight(), config.vocabSize(), hidden);
    Optional<WeightMatrix.Dense> positions = positions();
    List<Block> blocks = new ArrayList<>();
    for (int layer = 0; layer < config.layers(); layer++) {
      blocks.add(block(layer));
    }
    Norm finalNorm = norm(names.finalNorm(), hidden);
    Linear head = head(embedding);
    tensors.finish();
    return new ModelWeights(
        config, embedding, positions, blocks, finalNorm, head, tensors.bytes(), memory);
  }

  private Optional<WeightMatrix.Dense> positions() throws ModelFormatException {
    if (names.positions().isEmpty()) {
      return Optional.empty();
    }
    int offset = names.positionOffset();
    var table =
        tensors.matrix(
            names.positions().get().weight(), Math.addExact(config.maxPositions(), offset), hidden);
    long skipped = (long) offset * hidden * table.dtype().bytes();
    return Optional.of(
        new WeightMatrix.Dense(
            table.dtype(), config.maxPositions(), hidden, table.data().asSlice(skipped)));
  }

  private Block block(int layer) throws ModelFormatException {
    int inner = config.intermediateSize();
    boolean gated = names.linears().contains(LinearRole.GATE);
    return new Block(
        ordered(names.attentionNorm(layer)),
        linear(layer, LinearRole.QUERY, queries, hidden),
        linear(layer, LinearRole.KEY, keys, hidden),
        linear(layer, LinearRole.VALUE, keys, hidden),
        linear(layer, LinearRole.OUTPUT, hidden, queries),
        headNorm(names.queryNorm(layer)),
        headNorm(names.keyNorm(layer)),
        ropeOrder(names.attention(layer)),
        ordered(names.mlpNorm(layer)),
        gated ? Optional.of(linear(layer, LinearRole.GATE, inner, hidden)) : Optional.empty(),
        linear(layer, LinearRole.UP, inner, hidden),
        linear(layer, LinearRole.DOWN, hidden, inner));
  }

  private Linear head(WeightMatrix.Dense embedding) throws ModelFormatException {
    ModuleName name = names.head();
    WeightMatrix weights;
    if (scheme.headBits() < 16) {
      weights = packed(name, scheme.headBits(), config.vocabSize(), hidden, 0);
    } else if (!config.tiedEmbeddings()) {
      weights = tensors.matrix(name.weight(), config.vocabSize(), hidden);
    } else {
      weights = embedding;
      if (tensors.has(name.weight())) {
        var copy = tensors.matrix(name.weight(), config.vocabSize(), hidden);
        if (!isSame(copy.data(), embedding.data())) {
          throw tensors.problem(
              name.weight(),
              "config.json ties the head to the embedding, but the two tensors differ");
        }
      }
    }
    return Linear.plain(name.name(), weights, Optional.empty());
  }

  /** MemorySegment.mismatch would end the JVM if a mapped file were cut short. */
  private static boolean isSame(MemorySegment a, MemorySegment b) {
    if (a.byteSize() != b.byteSize()) {
      return false;
    }
    for (long at = 0; at < a.byteSize(); at++) {
      if (a.get(ValueLayout.JAVA_BYTE, at) != b.get(ValueLayout.JAVA_BYTE, at)) {
        return false;
      }
    }
    return true;
  }

  private Linear linear(int layer, LinearRole role, int out, int in) throws ModelFormatException {
    ModuleName name = names.linear(layer, role);
    WeightMatrix weights =
        scheme.quantizesWeights()
            ? packed(name, scheme.weightBits(), out, in, scheme.groupSize())
            : tensors.matrix(name.weight(), out, in);
    Optional<float[]> bias =
        config.biased().contains(role)
            ? Optional.of(tensors.vector(name.bias(), out))
            : tensors.optionalVector(name.bias(), out);
    if (config.quantization().isEmpty()) {
      if (bias.isPresent() && !config.biased().contains(role)) {
        throw tensors.problem(name.bias(), "config.json says that this linear has no bias");
      }
      return Linear.plain(name.name(), weights, bias);
    }
    return new Linear(
        name.name(),
        weights,
        bias,
        outlierColumns(name, out, in),
        outlierValues(name, out, in),
        clusters(name, in),
        outlierThreshold(name));
  }

  private WeightMatrix.Packed packed(ModuleName name, int bits, int out, int in, int groupSize)
      throws ModelFormatException {
    PackedLayout layout = new PackedLayout(bits, out, in, groupSize);
    MemorySegment codes = tensors.data(name.qweight(), layout.qweightBytes(), DType.U8);
    MemorySegment scales = tensors.data(name.scales(), layout.scaleCount(), DType.F16);
    MemorySegment zeros =
        scheme.symmetric() ? null : tensors.data(name.zeros(), layout.scaleCount(), DType.U8);
    WeightMatrix.Packed packed = new WeightMatrix.Packed(layout, codes, scales, zeros);
    long scale = packed.badScale();
    if (scale >= 0) {
      throw tensors.problem(
          name.scales(), "expected finite scales, found another at index " + scale);
    }
    long zero = packed.badZero();
    if (zero >= 0) {
      throw tensors.problem(
          name.zeros(), "expected zeros below 2^" + bits + ", found another at index " + zero);
    }
    return packed;
  }

  private Optional<Linear.OutlierColumns> outlierColumns(ModuleName name, int out, int in)
      throws ModelFormatException {
    String field = name.outlierColumns();
    if (!tensors.has(field)) {
      return Optional.empty();
    }
    int[] columns = tensors.ints(field, in);
    for (int i = 0; i < columns.length; i++) {
      if (columns[i] >= in || columns[i] <= (i == 0 ? -1 : columns[i - 1])) {
        throw tensors.problem(
            field, "expected ascending columns below " + in + ", found " + columns[i]);
      }
    }
    return columns.length == 0
        ? Optional.empty()
        : Optional.of(
            new Linear.OutlierColumns(
                columns, tensors.halfMatrix(name.outlierWeight(), out, columns.length)));
  }

  private Optional<Linear.OutlierValues> outlierValues(ModuleName name, int out, int in)
      throws ModelFormatException {
    String field = name.outlierRows();
    if (!tensors.has(field)) {
      return Optional.empty();
    }
    float[] values = tensors.halves(name.outlierValues(), (long) out * in);
    int[] rows = tensors.intVector(field, Math.addExact(out, 1));
    int[] columns = tensors.intVector(name.outlierIndices(), values.length);
    boolean ascending = rows[0] == 0 && rows[out] == values.length;
    for (int n = 0; n < out; n++) {
      ascending &= rows[n] <= rows[n + 1];
    }
    if (!ascending) {
      throw tensors.problem(field, "expected row starts ascending from 0 to " + values.length);
    }
    for (int column : columns) {
      if (column < 0 || column >= in) {
        throw tensors.problem(
            name.outlierIndices(), "expected columns below " + in + ", found " + column);
      }
    }
    return values.length == 0
        ? Optional.empty()
        : Optional.of(new Linear.OutlierValues(rows, columns, values));
  }

  private Optional<Linear.Clusters> clusters(ModuleName name, int in) throws ModelFormatException {
    String field = name.clusterScales();
    if (!tensors.has(field)) {
      return Optional.empty();
    }
    if (scheme.groupSize() != TensorOperations.CLUSTER_COLUMNS
        || !scheme.quantizesActivations()
        || in % TensorOperations.CLUSTER_COLUMNS != 0) {
      throw tensors.problem(
          field,
          "static clusters need a scheme with A8 or less and g32, and a width that is a multiple of"
              + " 32; found "
              + scheme
              + " and "
              + in);
    }
    float[] scales = tensors.floatVector(field, in / TensorOperations.CLUSTER_COLUMNS);
    for (float scale : scales) {
      if (scale <= 0) {
        throw tensors.problem(field, "expected scales above 0, found " + scale);
      }
    }
    int bits = clusterBits(name);
    int top = (1 << bits) - 1;
    int[] zeros = tensors.intVector(name.clusterZeros(), in / TensorOperations.CLUSTER_COLUMNS);
    for (int zero : zeros) {
      if (zero < 0 || zero > top) {
        throw tensors.problem(name.clusterZeros(), "expected 0 to " + top + ", found " + zero);
      }
    }
    return Optional.of(new Linear.Clusters(bits, scales, zeros));
  }

  private int clusterBits(ModuleName name) throws ModelFormatException {
    String field = name.clusterBits();
    if (!tensors.has(field)) {
      return scheme.activationBits();
    }
    int bits = tensors.intVector(field, 1)[0];
    if (bits != 4 && bits != 6 && bits != 8) {
      throw tensors.problem(field, "expected 4, 6 or 8, found " + bits);
    }
    return bits;
  }

  private float outlierThreshold(ModuleName name) throws ModelFormatException {
    String field = name.outlierThreshold();
    if (!tensors.has(field)) {
      return Float.POSITIVE_INFINITY;
    }
    if (!scheme.quantizesActivations() || !scheme.quantizesWeights()) {
      throw tensors.problem(
          field, "a threshold needs quantized weights and inputs, found " + scheme);
    }
    float threshold = tensors.floatVector(field, 1)[0];
    if (threshold <= 0) {
      throw tensors.problem(field, "expected a number above 0, found " + threshold);
    }
    return threshold;
  }

  private Optional<Norm> headNorm(Optional<ModuleName> name) throws ModelFormatException {
    return name.isPresent() ? Optional.of(norm(name.get(), config.headDim())) : Optional.empty();
  }

  private Norm norm(ModuleName name, int width) throws ModelFormatException {
    boolean layer = config.architecture() == Architecture.OPT;
    return new Norm(
        layer ? Norm.Kind.LAYER : Norm.Kind.RMS,
        tensors.vector(name.weight(), width),
        layer
            ? Optional.of(tensors.vector(name.bias(), width))
            : tensors.optionalVector(name.bias(), width),
        Optional.empty());
  }

  private Norm ordered(ModuleName name) throws ModelFormatException {
    Norm norm = norm(name, hidden);
    return config.quantization().isPresent() && tensors.has(name.channelOrder())
        ? new Norm(
            norm.kind(),
            norm.weight(),
            norm.bias(),
            Optional.of(tensors.permutations(name.channelOrder(), 1, hidden)[0]))
        : norm;
  }

  private Optional<int[][]> ropeOrder(ModuleName attention) throws ModelFormatException {
    return config.quantization().isPresent() && tensors.has(attention.ropeOrder())
        ? Optional.of(
            tensors.permutations(attention.ropeOrder(), config.kvHeads(), config.headDim() / 2))
        : Optional.empty();
  }
}
