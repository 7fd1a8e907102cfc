package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.calibration.TransformerBlock.Parameters;
import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.Tensor;
import dev.nibble.quantizer.format.TensorNames;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The order in which a reordered block stores its channels; stored channel i is source channel
 * order[i]. The residual stream keeps its order, so that blocks stay apart: norms write their
 * output reordered, the other orders lie in the rows of one linear and the columns of the next.
 *
 * @param attention R1, the attention norm's output: columns of query, key and value
 * @param queries R2, channels of a head's queries and keys, one a KV head: rows of query and key.
 *     With RoPE both channels of a pair, i and i + headDim / 2, move together
 * @param values R3, channels of a head's values, one a KV head: rows of value, columns of output
 * @param mlp R4, the MLP norm's output: columns of gate and up
 * @param inner R5, what the non-linearity leaves: rows of gate and up, columns of down
 */
@SuppressWarnings("ArrayRecordComponent") // shared, not compared
record BlockOrder(int[] attention, int[][] queries, int[][] values, int[] mlp, int[] inner) {
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** Channels in their own order. */
  static int[] identity(int channels) {
    return IntStream.range(0, channels).toArray();
  }

  /** The order that undoes another. */
  static int[] inverse(int[] order) {
    int[] inverse = new int[order.length];
    for (int i = 0; i < order.length; i++) {
      inverse[order[i]] = i;
    }
    return inverse;
  }

  /** The orders that undo these. */
  BlockOrder inverse() {
    return new BlockOrder(
        inverse(attention),
        Arrays.stream(queries).map(BlockOrder::inverse).toArray(int[][]::new),
        Arrays.stream(values).map(BlockOrder::inverse).toArray(int[][]::new),
        inverse(mlp),
        inverse(inner));
  }

  /** Order of a site's channels. */
  int[] columns(InputSite site, ModelConfig config) {
    return switch (site) {
      case ATTENTION -> attention;
      case OUTPUT -> heads(values, config.heads(), config);
      case MLP -> mlp;
      case DOWN -> inner;
    };
  }

  /** Order of a linear's outputs. */
  int[] rows(LinearRole role, ModelConfig config) {
    return switch (role) {
      case QUERY -> heads(queries, config.heads(), config);
      case KEY -> heads(queries, config.kvHeads(), config);
      case VALUE -> heads(values, config.kvHeads(), config);
      case GATE, UP -> inner;
      case OUTPUT, DOWN -> identity(config.hiddenSize());
    };
  }

  /** The orders of heads' channels, those of a KV head for each head that reads it. */
  private static int[] heads(int[][] orders, int heads, ModelConfig config) {
    int headDim = config.headDim();
    int readers = heads / config.kvHeads();
    int[] all = new int[heads * headDim];
    for (int i = 0; i < all.length; i++) {
      int head = i / headDim;
      all[i] = head * headDim + orders[head / readers][i % headDim];
    }
    return all;
  }

  /** A copy of a block with its linears' rows, columns and biases in this order. */
  TransformerBlock apply(TransformerBlock block) {
    ModelConfig config = block.config();
    TransformerBlock stored = block.copy();
    for (LinearRole role : block.roles()) {
      int[] rows = rows(role, config);
      int[] columns = columns(InputSite.of(role), config);
      Parameters linear = block.linear(role);
      float[] weight = new float[linear.weight().length];
      for (int r = 0; r < rows.length; r++) {
        for (int c = 0; c < columns.length; c++) {
          weight[r * columns.length + c] = linear.weight()[rows[r] * columns.length + columns[c]];
        }
      }
      stored.setLinear(role, new Parameters(weight, linear.bias().map(bias -> gather(bias, rows))));
    }
    return stored;
  }

  private static float[] gather(float[] values, int[] order) {
    float[] gathered = new float[order.length];
    for (int i = 0; i < order.length; i++) {
      gathered[i] = values[order[i]];
    }
    return gathered;
  }

  /** The orders a reader of the block must know; those that change nothing are left out. */
  List<Tensor> tensors(TransformerBlock block) {
    ModelConfig config = block.config();
    TensorNames names = TensorNames.of(config.architecture());
    List<Tensor> tensors = new ArrayList<>();
    int layer = block.layer();
    addOrder(names.attentionNorm(layer).channelOrder(), attention, tensors);
    addOrder(names.mlpNorm(layer).channelOrder(), mlp, tensors);
    if (config.rope().isPresent() && !Arrays.stream(queries).allMatch(BlockOrder::changesNothing)) {
      int pairs = config.headDim() / 2;
      int[] frequencies =
          Arrays.stream(queries).flatMapToInt(q -> Arrays.stream(q, 0, pairs)).toArray();
      tensors.add(
          shorts(
              names.attention(layer).ropeOrder(),
              frequencies,
              List.of((long) config.kvHeads(), (long) pairs)));
    }
    return tensors;
  }

  private static void addOrder(String name, int[] order, List<Tensor> tensors) {
    if (!changesNothing(order)) {
      tensors.add(shorts(name, order, List.of((long) order.length)));
    }
  }

  private static boolean changesNothing(int[] order) {
    return Arrays.equals(order, identity(order.length));
  }

  private static Tensor shorts(String name, int[] values, List<Long> shape) {
    MemorySegment data = MemorySegment.ofArray(new byte[2 * values.length]);
    for (int i = 0; i < values.length; i++) {
      data.set(SHORT, 2L * i, (short) values[i]);
    }
    return new Tensor(name, DType.U16, shape, data);
  }
}
