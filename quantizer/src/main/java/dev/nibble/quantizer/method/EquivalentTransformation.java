package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockTrainer;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.calibration.TransformerBlock.Parameters;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.util.Arrays;
import java.util.List;

/**
 * Learnable equivalent transformation (OmniQuant, section 3.3): scales between linears that leave
 * the block's function as it is, folded into norms, weights and biases. Four places: attention norm
 * to q, k, v; v to o; q to k; MLP norm to gate, up. Unlike upstream the q to k scale is shared by
 * the two channels that RoPE turns together, and the v to o scale by the query heads of a key head;
 * only so is the function preserved. Models with norms on query and key heads have no q to k place.
 * Where norms have a bias (OPT), all places but q to k have shifts as well: what is taken from a
 * channel is given back by the biases of the linears that read it.
 */
final class EquivalentTransformation {
  private static final float SMALLEST = 1e-2f;

  private final TransformerBlock source;
  private final ModelConfig config;
  private final WorkerThreads workers;

  /** attention norm to q, k, v: [hidden]. */
  final Parameter attention;

  /** v to o: [kvHeads x headDim]. */
  final Parameter value;

  /** q to k: [kvHeads, headDim/2] with RoPE, else [kvHeads x headDim]; empty with head norms. */
  final Parameter key;

  /** MLP norm to gate, up: [hidden]. */
  final Parameter mlp;

  /** Shifts of the three places that can have them, as long as the scales; empty without biases. */
  final Parameter attentionShift;

  final Parameter valueShift;
  final Parameter mlpShift;
  private final Parameter none = new Parameter(new float[0]);

  /** Factors of a linear's rows and columns for the scales as they are. */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Factors(float[] rows, float[] columns) {}

  /** Begins with scales, and with no shifts; {@link #startShifts} gives them. */
  EquivalentTransformation(
      TransformerBlock source,
      float[] attention,
      float[] value,
      float[] mlp,
      WorkerThreads workers) {
    this.source = source;
    this.workers = workers;
    config = source.config();
    this.attention = new Parameter(attention);
    this.value = new Parameter(value);
    this.mlp = new Parameter(mlp);
    int channels = source.queryNorm().isPresent() ? 0 : config.kvHeads() * config.headDim();
    float[] ones = new float[config.rope().isPresent() ? channels / 2 : channels];
    Arrays.fill(ones, 1);
    key = new Parameter(ones);
    boolean shifts = shifts(source);
    attentionShift = new Parameter(new float[shifts ? attention.length : 0]);
    valueShift = new Parameter(new float[shifts ? value.length : 0]);
    mlpShift = new Parameter(new float[shifts ? mlp.length : 0]);
  }

  /** Whether a block can take shifts: it has biases everywhere, and every head its own values. */
  static boolean shifts(TransformerBlock block) {
    return block.config().heads() == block.config().kvHeads()
        && block.attentionNorm().bias().isPresent()
        && block.mlpNorm().bias().isPresent()
        && block.roles().stream().allMatch(role -> block.linear(role).bias().isPresent());
  }

  /** Sets the shifts. */
  void startShifts(float[] atAttention, float[] atValue, float[] atMlp) {
    System.arraycopy(atAttention, 0, attentionShift.value, 0, attentionShift.value.length);
    System.arraycopy(atValue, 0, valueShift.value, 0, valueShift.value.length);
    System.arraycopy(atMlp, 0, mlpShift.value, 0, mlpShift.value.length);
  }

  List<Parameter> parameters() {
    return List.of(attention, value, key, mlp, attentionShift, valueShift, mlpShift);
  }

  /** Keeps scales away from 0. */
  void truncate() {
    for (Parameter parameter : List.of(attention, value, key, mlp)) {
      for (int i = 0; i < parameter.value.length; i++) {
        parameter.value[i] = Math.max(SMALLEST, parameter.value[i]);
      }
    }
  }

  /** Writes the transformed block into a copy of the source. */
  void apply(TransformerBlock out) {
    divide(source.attentionNorm(), attention.value, attentionShift.value, out.attentionNorm());
    divide(source.mlpNorm(), mlp.value, mlpShift.value, out.mlpNorm());
    for (LinearRole role : source.roles()) {
      Parameters from = source.linear(role);
      Parameters to = out.linear(role);
      Factors factors = factors(role);
      int columns = config.columns(role);
      workers.run(
          config.rows(role),
          (first, end, worker) -> {
            for (int row = first; row < end; row++) {
              float r = factors.rows[row];
              for (int i = 0; i < columns; i++) {
                int at = row * columns + i;
                to.weight()[at] = from.weight()[at] * r * factors.columns[i];
              }
            }
          });
      if (from.bias().isPresent()) {
        float[] bias = shifted(role);
        float[] scaled = to.bias().orElseThrow();
        for (int row = 0; row < bias.length; row++) {
          scaled[row] = bias[row] * factors.rows[row];
        }
      }
    }
  }

  /** Fills the parameters' gradients from those of the transformed block. */
  void backward(BlockTrainer trainer) {
    for (Parameter parameter : parameters()) {
      Arrays.fill(parameter.gradient, 0);
    }
    divideBack(
        source.attentionNorm(),
        trainer.attentionNorm(),
        trainer.attentionNormBias(),
        attention,
        attentionShift);
    divideBack(source.mlpNorm(), trainer.mlpNorm(), trainer.mlpNormBias(), mlp, mlpShift);
    for (LinearRole role : source.roles()) {
      Factors factors = factors(role);
      float[] rows = rowGradient(role, trainer.weight(role), factors.columns);
      trainer
          .bias(role)
          .ifPresent(db -> {
            addBias(role, db, rows);
            shiftBack(role, db, factors.rows);
          });
      float[] columns = columnGradient(role, trainer.weight(role), factors.rows);
      switch (role) {
        case QUERY -> {
          add(columns, attention);
          shrinkQueries(rows);
        }
        case KEY -> {
          add(columns, attention);
          growKeys(rows);
        }
        case VALUE -> {
          add(columns, attention);
          for (int i = 0; i < rows.length; i++) {
            value.gradient[i] -= rows[i] / (value.value[i] * value.value[i]);
          }
        }
        case OUTPUT -> {
          for (int i = 0; i < columns.length; i++) {
            value.gradient[valueIndex(i)] += columns[i];
          }
        }
        case GATE, UP -> add(columns, mlp);
        case DOWN -> {}
      }
    }
  }

  /** Rows of q are divided by their scale. */
  private void shrinkQueries(float[] rows) {
    for (int row = 0; key.value.length > 0 && row < rows.length; row++) {
      int at = keyIndex(row, config.heads());
      key.gradient[at] -= rows[row] / (key.value[at] * key.value[at]);
    }
  }

  /** Rows of k are multiplied by it. */
  private void growKeys(float[] rows) {
    for (int row = 0; key.value.length > 0 && row < rows.length; row++) {
      key.gradient[keyIndex(row, config.kvHeads())] += rows[row];
    }
  }

  private Factors factors(LinearRole role) {
    float[] rows = new float[config.rows(role)];
    Arrays.fill(rows, 1);
    float[] columns =
        switch (role) {
          case QUERY, KEY, VALUE -> attention.value;
          case GATE, UP -> mlp.value;
          case OUTPUT -> {
            float[] repeated = new float[config.columns(role)];
            for (int i = 0; i < repeated.length; i++) {
              repeated[i] = value.value[valueIndex(i)];
            }
            yield repeated;
          }
          case DOWN -> {
            float[] ones = new float[config.columns(role)];
            Arrays.fill(ones, 1);
            yield ones;
          }
        };
    for (int row = 0; row < rows.length; row++) {
      switch (role) {
        case QUERY -> rows[row] = key.value.length == 0 ? 1 : 1 / keyScale(row, config.heads());
        case KEY -> rows[row] = key.value.length == 0 ? 1 : keyScale(row, config.kvHeads());
        case VALUE -> rows[row] = 1 / value.value[row];
        case OUTPUT, GATE, UP, DOWN -> {}
      }
    }
    return new Factors(rows, columns);
  }

  private float keyScale(int row, int heads) {
    return key.value[keyIndex(row, heads)];
  }

  /** The q to k scale of a row of q or k. */
  private int keyIndex(int row, int heads) {
    int headDim = config.headDim();
    int kvHead = row / headDim / (heads / config.kvHeads());
    int channel = row % headDim;
    int half = headDim / 2;
    return config.rope().isPresent() ? kvHead * half + channel % half : kvHead * headDim + channel;
  }

  /** The v to o scale of an input channel of o. */
  private int valueIndex(int channel) {
    int headDim = config.headDim();
    int kvHead = channel / headDim / (config.heads() / config.kvHeads());
    return kvHead * headDim + channel % headDim;
  }

  private float[] rowGradient(LinearRole role, float[] gradient, float[] columns) {
    float[] weight = source.linear(role).weight();
    float[] rows = new float[config.rows(role)];
    workers.run(
        rows.length,
        (from, to, worker) -> {
          for (int row = from; row < to; row++) {
            double sum = 0;
            for (int i = 0; i < columns.length; i++) {
              int at = row * columns.length + i;
              sum += (double) gradient[at] * weight[at] * columns[i];
            }
            rows[row] = (float) sum;
          }
        });
    return rows;
  }

  private float[] columnGradient(LinearRole role, float[] gradient, float[] rows) {
    float[] weight = source.linear(role).weight();
    int width = config.columns(role);
    float[] columns = new float[width];
    workers.run(
        width,
        (from, to, worker) -> {
          double[] sums = new double[to - from];
          for (int row = 0; row < rows.length; row++) {
            for (int i = from; i < to; i++) {
              int at = row * width + i;
              sums[i - from] += (double) gradient[at] * weight[at] * rows[row];
            }
          }
          for (int i = from; i < to; i++) {
            columns[i] = (float) sums[i - from];
          }
        });
    return columns;
  }

  /** The shifts of a linear's inputs; empty for none. */
  private Parameter inputShift(LinearRole role) {
    return switch (role) {
      case QUERY, KEY, VALUE -> attentionShift;
      case OUTPUT -> valueShift;
      case GATE, UP -> mlpShift;
      case DOWN -> none;
    };
  }

  /** A linear's bias with what its inputs' shifts give back, less its outputs' own. */
  private float[] shifted(LinearRole role) {
    float[] bias = source.linear(role).bias().orElseThrow().clone();
    float[] shift = inputShift(role).value;
    float[] weight = source.linear(role).weight();
    if (shift.length > 0) {
      for (int row = 0; row < bias.length; row++) {
        double sum = bias[row];
        for (int i = 0; i < shift.length; i++) {
          sum += (double) weight[row * shift.length + i] * shift[i];
        }
        bias[row] = (float) sum;
      }
    }
    if (role == LinearRole.VALUE) {
      for (int row = 0; row < valueShift.value.length; row++) {
        bias[row] -= valueShift.value[row];
      }
    }
    return bias;
  }

  /** Adds a linear's share of the shifts' gradients. */
  private void shiftBack(LinearRole role, float[] gradient, float[] rows) {
    float[] weight = source.linear(role).weight();
    float[] shift = inputShift(role).gradient;
    for (int i = 0; i < shift.length; i++) {
      double sum = 0;
      for (int row = 0; row < gradient.length; row++) {
        sum += (double) gradient[row] * rows[row] * weight[row * shift.length + i];
      }
      shift[i] += (float) sum;
    }
    if (role == LinearRole.VALUE) {
      for (int row = 0; row < valueShift.gradient.length; row++) {
        valueShift.gradient[row] -= gradient[row] * rows[row];
      }
    }
  }

  private void addBias(LinearRole role, float[] gradient, float[] rows) {
    float[] bias = shifted(role);
    for (int row = 0; row < rows.length; row++) {
      rows[row] += gradient[row] * bias[row];
    }
  }

  private static void add(float[] gradient, Parameter parameter) {
    for (int i = 0; i < gradient.length; i++) {
      parameter.gradient[i] += gradient[i];
    }
  }

  private static void divide(Parameters from, float[] scale, float[] shift, Parameters to) {
    for (int i = 0; i < scale.length; i++) {
      to.weight()[i] = from.weight()[i] / scale[i];
    }
    if (from.bias().isPresent()) {
      float[] bias = from.bias().get();
      float[] divided = to.bias().orElseThrow();
      for (int i = 0; i < scale.length; i++) {
        divided[i] = (shift.length == 0 ? bias[i] : bias[i] - shift[i]) / scale[i];
      }
    }
  }

  private static void divideBack(
      Parameters norm, float[] weight, float[] bias, Parameter parameter, Parameter shift) {
    for (int i = 0; i < weight.length; i++) {
      float s = parameter.value[i];
      float numerator = weight[i] * norm.weight()[i];
      if (norm.bias().isPresent()) {
        float moved = shift.value.length == 0 ? 0 : shift.value[i];
        numerator += bias[i] * (norm.bias().get()[i] - moved);
      }
      if (shift.value.length > 0) {
        shift.gradient[i] -= bias[i] / s;
      }
      parameter.gradient[i] -= numerator / (s * s);
    }
  }
}
