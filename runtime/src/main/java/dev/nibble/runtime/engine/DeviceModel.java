package dev.nibble.runtime.engine;

import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.tensor.RotaryEmbedding;
import dev.nibble.quantizer.tensor.WeightMatrix;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.kernel.AttentionHeads;
import dev.nibble.runtime.kernel.EmbeddingLookup;
import dev.nibble.runtime.model.Block;
import dev.nibble.runtime.model.Linear;
import dev.nibble.runtime.model.ModelWeights;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** A model's weights in device memory. */
final class DeviceModel {
  private static final int FP16 = 16;

  private final ModelWeights source;
  private final DeviceVectors vectors;
  private final DevicePlan.Piece embedding;
  private final DevicePlan.@Nullable Piece positions;
  private final DevicePlan.@Nullable Piece cosines;
  private final DevicePlan.@Nullable Piece sines;
  private final List<DeviceLinear> linears = new ArrayList<>();
  private final List<BlockPlan> plans = new ArrayList<>();
  private final DeviceNorm finalNorm;
  private final DeviceLinear head;

  /** A linear, or several as one, and the column of the block's buffer where its output starts. */
  record Output(DeviceLinear linear, int column) {}

  /** A block, once it is on the device. */
  record DeviceBlock(
      DeviceNorm attentionNorm,
      List<Output> queryKeyValue,
      AttentionHeads heads,
      DeviceLinear output,
      DeviceNorm mlpNorm,
      List<Output> gateUp,
      DeviceLinear down) {}

  private record BlockPlan(
      DeviceNorm attentionNorm,
      List<Output> queryKeyValue,
      @Nullable DeviceNorm queryNorm,
      @Nullable DeviceNorm keyNorm,
      DevicePlan.@Nullable Piece ropeOrder,
      DeviceLinear output,
      DeviceNorm mlpNorm,
      List<Output> gateUp,
      DeviceLinear down) {}

  /** Plans the memory. */
  DeviceModel(DevicePlan plan, ModelWeights source, int contextLength) {
    this.source = source;
    ModelConfig config = source.config();
    vectors = new DeviceVectors(plan);
    embedding = plan.reserve(source.embedding().data().byteSize());
    positions = source.positions().map(table -> plan.reserve(table.data().byteSize())).orElse(null);
    Optional<RotaryEmbedding> rope =
        config.rope().map(r -> new RotaryEmbedding(r, config.headDim(), contextLength));
    cosines = vectors.floats(rope.map(RotaryEmbedding::cosines));
    sines = vectors.floats(rope.map(RotaryEmbedding::sines));
    for (Block block : source.blocks()) {
      plans.add(plan(plan, block, config));
    }
    finalNorm = new DeviceNorm(vectors, source.finalNorm(), config.normEpsilon());
    head =
        sharesEmbedding()
            ? DeviceLinear.over(embedding, source.head())
            : linear(plan, List.of(source.head()), FP16);
  }

  /** Whether the head reads the table that the embedding reads. */
  private boolean sharesEmbedding() {
    return source.head().weights() instanceof WeightMatrix.Dense dense
        && dense.equals(source.embedding())
        && dense.dtype() != DType.F32;
  }

  private BlockPlan plan(DevicePlan plan, Block block, ModelConfig config) {
    float epsilon = config.normEpsilon();
    int bits = config.scheme().activationBits();
    List<Linear> mlp = new ArrayList<>();
    block.gate().ifPresent(mlp::add);
    mlp.add(block.up());
    return new BlockPlan(
        new DeviceNorm(vectors, block.attentionNorm(), epsilon),
        outputs(plan, List.of(block.query(), block.key(), block.value()), bits),
        block.queryNorm().map(n -> new DeviceNorm(vectors, n, epsilon)).orElse(null),
        block.keyNorm().map(n -> new DeviceNorm(vectors, n, epsilon)).orElse(null),
        block.ropeOrder().map(vectors::shorts).orElse(null),
        linear(plan, List.of(block.output()), bits),
        new DeviceNorm(vectors, block.mlpNorm(), epsilon),
        outputs(plan, mlp, bits),
        linear(plan, List.of(block.down()), bits));
  }

  /** Linears of the same input: one where they read it alike, else each on its own. */
  private List<Output> outputs(DevicePlan plan, List<Linear> alike, int bits) {
    Linear first = alike.getFirst();
    boolean fused =
        alike.stream()
            .allMatch(other ->
                (bits == FP16 || reading(first).equals(reading(other)))
                    && sameForm(first.weights(), other.weights()));
    if (fused) {
      return List.of(new Output(linear(plan, alike, bits), 0));
    }
    List<Output> outputs = new ArrayList<>();
    int column = 0;
    for (Linear one : alike) {
      outputs.add(new Output(linear(plan, List.of(one), bits), column));
      column += padded(one.out());
    }
    return outputs;
  }

  private static LinearInput.Reading reading(Linear linear) {
    return new LinearInput.Reading(linear);
  }

  private static boolean sameForm(WeightMatrix a, WeightMatrix b) {
    return switch (a) {
      case WeightMatrix.Packed p ->
          b instanceof WeightMatrix.Packed q
              && p.layout().bits() == q.layout().bits()
              && p.layout().groupSize() == q.layout().groupSize()
              && (p.zeros() == null) == (q.zeros() == null);
      case WeightMatrix.Dense p ->
          b instanceof WeightMatrix.Dense q
              && DeviceLinear.half(p.dtype()) == DeviceLinear.half(q.dtype());
    };
  }

  private DeviceLinear linear(DevicePlan plan, List<Linear> parts, int bits) {
    DeviceLinear linear = new DeviceLinear(plan, vectors, parts, bits);
    linears.add(linear);
    return linear;
  }

  /** Columns of the buffer that linears of so many rows each write to, one after the other. */
  static int padded(int rows) {
    return Math.multiplyExact(Math.ceilDiv(rows, PackedLayout.ROW_BLOCK), PackedLayout.ROW_BLOCK);
  }

  /** Fills the memory. */
  void fill(DeviceContents contents) {
    contents.dense(source.embedding(), embedding.range());
    source
        .positions()
        .ifPresent(table -> contents.dense(table, Objects.requireNonNull(positions).range()));
    vectors.fill(contents);
    for (DeviceLinear linear : linears) {
      linear.fill(contents);
    }
  }

  /** All linears, the head's too where it has weights of its own. */
  List<DeviceLinear> linears() {
    return linears;
  }

  /** Whether some linear has columns that stay at 16 bits. */
  boolean keepsColumns() {
    return linears.stream().anyMatch(DeviceLinear::keepsColumns);
  }

  EmbeddingLookup.Table embedding() {
    return table(source.embedding(), embedding);
  }

  EmbeddingLookup.@Nullable Table positions() {
    return positions == null ? null : table(source.positions().orElseThrow(), positions);
  }

  private static EmbeddingLookup.Table table(WeightMatrix.Dense matrix, DevicePlan.Piece piece) {
    return new EmbeddingLookup.Table(
        matrix.dtype(), matrix.rows(), matrix.columns(), piece.range());
  }

  List<DeviceBlock> blocks() {
    return plans.stream().map(this::block).toList();
  }

  private DeviceBlock block(BlockPlan plan) {
    ModelConfig config = source.config();
    AttentionHeads heads =
        new AttentionHeads(
            config.heads(),
            config.scheme().queryBits(),
            config.normEpsilon(),
            plan.queryNorm == null ? null : plan.queryNorm.vector(),
            plan.keyNorm == null ? null : plan.keyNorm.vector(),
            range(cosines),
            range(sines),
            range(plan.ropeOrder));
    return new DeviceBlock(
        plan.attentionNorm,
        plan.queryKeyValue,
        heads,
        plan.output,
        plan.mlpNorm,
        plan.gateUp,
        plan.down);
  }

  private static @Nullable DeviceRange range(DevicePlan.@Nullable Piece piece) {
    return piece == null ? null : piece.range();
  }

  DeviceNorm finalNorm() {
    return finalNorm;
  }

  /** The head. */
  DeviceLinear head() {
    return head;
  }
}
