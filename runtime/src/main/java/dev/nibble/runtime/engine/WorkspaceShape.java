package dev.nibble.runtime.engine;

import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.model.Block;
import dev.nibble.runtime.model.Linear;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Sizes of the buffers a step works in.
 *
 * @param rows most tokens of a step
 * @param logitRows most tokens whose logits are computed at once
 * @param hidden width of the residual stream
 * @param queries width of all query heads
 * @param keys width of all key heads
 * @param inner width of the MLP
 * @param gated whether the MLP has a gate
 * @param vocab rows of the head
 * @param activationBits bits of the linears' inputs
 * @param sumGroup weight group size; 0 for per channel
 * @param reordered whether a norm's channels are permuted
 * @param outlierColumns most outlier columns of a linear
 * @param maskedInputs whether a linear needs a changed copy of its input
 * @param integerInputs whether a linear's input is quantized to integers
 */
record WorkspaceShape(
    int rows,
    int logitRows,
    int hidden,
    int queries,
    int keys,
    int inner,
    boolean gated,
    int vocab,
    int activationBits,
    int sumGroup,
    boolean reordered,
    int outlierColumns,
    boolean maskedInputs,
    boolean integerInputs) {
  /** Tokens of a prompt that go through the model together. */
  private static final int CHUNK = 512;

  /** Logits held at once when a text is scored: 16 MiB. */
  private static final int LOGITS = 1 << 22;

  static WorkspaceShape of(ModelWeights weights, ModelOptions options) {
    ModelConfig config = weights.config();
    QuantScheme scheme = config.scheme();
    int rows = Math.max(Math.min(CHUNK, options.contextLength(config)), options.sequences());
    int outlierColumns =
        linears(weights)
            .map(Linear::outlierColumns)
            .flatMap(Optional::stream)
            .mapToInt(outliers -> outliers.columns().length)
            .max()
            .orElse(0);
    boolean quantizesActivations = scheme.quantizesActivations();
    boolean thresholds =
        linears(weights).anyMatch(linear -> Float.isFinite(linear.outlierThreshold()));
    return new WorkspaceShape(
        rows,
        Math.clamp(LOGITS / config.vocabSize(), 1, rows),
        config.hiddenSize(),
        Math.multiplyExact(config.heads(), config.headDim()),
        Math.multiplyExact(config.kvHeads(), config.headDim()),
        config.intermediateSize(),
        weights.blocks().getFirst().gate().isPresent(),
        config.vocabSize(),
        scheme.activationBits(),
        scheme.groupSize(),
        weights.blocks().stream()
            .flatMap(block -> Stream.of(block.attentionNorm(), block.mlpNorm()))
            .anyMatch(norm -> norm.channelOrder().isPresent()),
        outlierColumns,
        quantizesActivations && (outlierColumns > 0 || thresholds || !scheme.quantizesWeights()),
        quantizesActivations && scheme.quantizesWeights());
  }

  /** Widest input of a linear. */
  int widestInput() {
    return Math.max(Math.max(hidden, queries), inner);
  }

  /** Widest output of a linear with outliers. */
  int widestOutput() {
    return widestInput();
  }

  /** Columns each sum of quantized inputs covers. */
  int sumGroup(int width) {
    return sumGroup == 0 ? width : sumGroup;
  }

  /** Size of all buffers. */
  long bytes() {
    long row = 2L * hidden + 2L * queries + 2L * keys + inner + (gated ? inner : 0);
    row += reordered ? hidden : 0;
    row += maskedInputs ? widestInput() : 0;
    row += outlierColumns > 0 ? outlierColumns + widestOutput() : 0;
    long bytes = Math.multiplyExact(Float.BYTES * row, (long) rows);
    bytes = Math.addExact(bytes, Float.BYTES * (long) logitRows * vocab);
    bytes = Math.addExact(bytes, (long) (Double.BYTES + Integer.BYTES) * vocab);
    if (integerInputs()) {
      for (int width : inputWidths()) {
        int sums = Math.ceilDiv(width, sumGroup(width));
        bytes += rows * (width + 2L * Float.BYTES + (long) Integer.BYTES * sums);
      }
    }
    return bytes;
  }

  /** Widths of the linears' inputs, each once. */
  int[] inputWidths() {
    return Stream.of(hidden, queries, inner).distinct().mapToInt(Integer::intValue).toArray();
  }

  private static Stream<Linear> linears(ModelWeights weights) {
    return weights.blocks().stream().flatMap(WorkspaceShape::linearsOf);
  }

  /** The linears of a block. */
  static Stream<Linear> linearsOf(Block block) {
    return Stream.concat(
        Stream.of(
            block.query(), block.key(), block.value(), block.output(), block.up(), block.down()),
        block.gate().stream());
  }
}
