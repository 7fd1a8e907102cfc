package dev.nibble.runtime.engine;

import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.ModelConfig.Activation;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.tensor.RotaryEmbedding;
import dev.nibble.quantizer.tensor.TensorOperations;
import dev.nibble.runtime.model.Block;
import dev.nibble.runtime.model.ModelWeights;
import dev.nibble.runtime.model.Norm;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The forward pass: embedding, blocks, final norm, head. Rows of a step belong to one sequence or
 * to several; only attention asks which.
 */
final class CpuTransformer {
  private final ModelConfig config;
  private final TensorOperations operations;
  private final Workspace work;
  private final LinearInput input;
  private final CpuLinear.Outliers outliers;
  private final EmbeddingTable embedding;
  private final @Nullable EmbeddingTable positions;
  private final CpuBlock[] blocks;
  private final Norm finalNorm;
  private final CpuLinear head;
  private final int queryBits;

  CpuTransformer(
      ModelWeights weights,
      int contextLength,
      TensorOperations operations,
      Workspace work,
      Arena arena) {
    config = weights.config();
    this.operations = operations;
    this.work = work;
    input = new LinearInput(operations, work.shape);
    outliers = new CpuLinear.Outliers(operations, work.shape);
    embedding = new EmbeddingTable(weights.embedding());
    positions = weights.positions().map(EmbeddingTable::new).orElse(null);
    Optional<RotaryEmbedding> rope =
        config.rope().map(r -> new RotaryEmbedding(r, config.headDim(), contextLength));
    List<Block> source = weights.blocks();
    blocks = new CpuBlock[source.size()];
    for (int i = 0; i < blocks.length; i++) {
      blocks[i] = new CpuBlock(source.get(i), config, rope, operations, arena);
    }
    finalNorm = weights.finalNorm();
    head = new CpuLinear(weights.head(), QuantScheme.W16A16, operations, arena);
    queryBits = config.scheme().queryBits();
  }

  /**
   * Runs the workspace's tokens through all blocks; the residual stream is left in the workspace.
   *
   * @param sequences whose rows follow each other, each as many as {@code rowsEach}
   * @param count sequences
   * @param rowsEach rows of each
   */
  void forward(CpuSequence[] sequences, int count, int rowsEach) {
    int rows = count * rowsEach;
    embed(rows);
    for (int layer = 0; layer < blocks.length; layer++) {
      attention(layer, sequences, count, rowsEach);
      mlp(blocks[layer], rows);
    }
  }

  /** Logits of rows of the residual stream, into the workspace's first rows of logits. */
  void logits(int firstRow, int rows) {
    int hidden = config.hiddenSize();
    System.arraycopy(work.x, firstRow * hidden, work.normed, 0, rows * hidden);
    norm(finalNorm, work.normed, rows, work.normed);
    input.set(work.normed, rows, hidden);
    head.apply(input, outliers, work.logits);
  }

  private void embed(int rows) {
    int hidden = config.hiddenSize();
    Arrays.fill(work.x, 0, rows * hidden, 0f);
    for (int row = 0; row < rows; row++) {
      embedding.addRow(work.tokens[row], work.x, row * hidden);
      if (positions != null) {
        positions.addRow(work.positions[row], work.x, row * hidden);
      }
    }
  }

  private void attention(int layer, CpuSequence[] sequences, int count, int rowsEach) {
    CpuBlock block = blocks[layer];
    int rows = count * rowsEach;
    int heads = config.heads();
    int kvHeads = config.kvHeads();
    int headDim = config.headDim();
    blockNorm(block.attentionNorm, rows);
    input.set(work.normed, rows, config.hiddenSize());
    block.query.apply(input, outliers, work.query);
    block.key.apply(input, outliers, work.key);
    block.value.apply(input, outliers, work.value);
    if (block.queryNorm != null) {
      norm(block.queryNorm, work.query, rows * heads, work.query);
    }
    if (block.keyNorm != null) {
      norm(block.keyNorm, work.key, rows * kvHeads, work.key);
    }
    if (block.rope != null) {
      operations.rope(work.query, rows, heads, block.rope, work.positions);
      operations.rope(work.key, rows, kvHeads, block.rope, work.positions);
    }
    if (queryBits < 16) {
      operations.fakeQuantize(work.query, 0, rows * heads, headDim, queryBits);
    }
    int window = config.slidingWindows().get(layer);
    for (int i = 0; i < count; i++) {
      int row = i * rowsEach;
      int position = work.positions[row];
      var cache = sequences[i].cache().layer(layer);
      int keyOffset = row * kvHeads * headDim;
      operations.append(cache, position, work.key, work.value, keyOffset, rowsEach);
      operations.attention(
          work.query,
          row * heads * headDim,
          rowsEach,
          heads,
          cache,
          position,
          window,
          work.attended);
    }
    input.set(work.attended, rows, heads * headDim);
    block.output.apply(input, outliers, work.normed);
    operations.add(work.x, work.normed, rows * config.hiddenSize());
  }

  private void mlp(CpuBlock block, int rows) {
    int inner = config.intermediateSize();
    blockNorm(block.mlpNorm, rows);
    input.set(work.normed, rows, config.hiddenSize());
    float[] activated = work.up;
    if (block.gate != null) {
      block.gate.apply(input, outliers, work.gate);
      activated = work.gate;
    }
    block.up.apply(input, outliers, work.up);
    switch (config.activation()) {
      case Activation.SILU -> operations.swiGlu(work.gate, work.up, rows * inner);
      case Activation.RELU -> operations.relu(work.up, rows * inner);
      case Activation.GELU -> operations.gelu(work.up, rows * inner);
    }
    input.set(activated, rows, inner);
    block.down.apply(input, outliers, work.normed);
    operations.add(work.x, work.normed, rows * config.hiddenSize());
  }

  /** Norm of the residual stream, its channels in the order the next linears store theirs. */
  private void blockNorm(Norm norm, int rows) {
    int hidden = config.hiddenSize();
    if (norm.channelOrder().isEmpty()) {
      norm(norm, work.x, rows, work.normed);
      return;
    }
    int[] order = norm.channelOrder().get();
    norm(norm, work.x, rows, work.unordered);
    for (int row = 0; row < rows; row++) {
      int at = row * hidden;
      for (int i = 0; i < hidden; i++) {
        work.normed[at + i] = work.unordered[at + order[i]];
      }
    }
  }

  private void norm(Norm norm, float[] x, int rows, float[] y) {
    float epsilon = config.normEpsilon();
    switch (norm.kind()) {
      case RMS -> {
        operations.rmsNorm(x, 0, rows, norm.weight(), epsilon, y);
        if (norm.bias().isPresent()) {
          operations.addBias(y, rows, norm.bias().get());
        }
      }
      case LAYER ->
          operations.layerNorm(x, 0, rows, norm.weight(), norm.bias().orElseThrow(), epsilon, y);
    }
  }

  /** A block in the form the CPU multiplies with. */
  private static final class CpuBlock {
    final Norm attentionNorm;
    final CpuLinear query;
    final CpuLinear key;
    final CpuLinear value;
    final CpuLinear output;
    final @Nullable Norm queryNorm;
    final @Nullable Norm keyNorm;
    final @Nullable RotaryEmbedding rope;
    final Norm mlpNorm;
    final @Nullable CpuLinear gate;
    final CpuLinear up;
    final CpuLinear down;

    CpuBlock(
        Block block,
        ModelConfig config,
        Optional<RotaryEmbedding> rope,
        TensorOperations operations,
        Arena arena) {
      QuantScheme scheme = config.scheme();
      attentionNorm = block.attentionNorm();
      query = new CpuLinear(block.query(), scheme, operations, arena);
      key = new CpuLinear(block.key(), scheme, operations, arena);
      value = new CpuLinear(block.value(), scheme, operations, arena);
      output = new CpuLinear(block.output(), scheme, operations, arena);
      queryNorm = block.queryNorm().orElse(null);
      keyNorm = block.keyNorm().orElse(null);
      this.rope =
          rope.map(tables -> block.ropeOrder().map(tables::withOrder).orElse(tables)).orElse(null);
      mlpNorm = block.mlpNorm();
      gate = block.gate().map(g -> new CpuLinear(g, scheme, operations, arena)).orElse(null);
      up = new CpuLinear(block.up(), scheme, operations, arena);
      down = new CpuLinear(block.down(), scheme, operations, arena);
    }
  }
}
