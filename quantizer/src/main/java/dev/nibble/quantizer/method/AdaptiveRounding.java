package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.util.Arrays;
import java.util.List;

/**
 * Adaptive rounding (AdaRound, Nagel et al. 2020): whether each weight is rounded down or up is
 * learned, on a grid that another method found. A weight is floor(w / s) + h(v) with h a sigmoid
 * stretched to [-0.1, 1.1] and clipped, which starts as the weight's own fraction. Weights are
 * brought to a decision by {@link #harden} (TesseraQ, Li and Panda 2024) or by {@link
 * #addDecisiveness}; a factor 2 sigmoid(u) of each scale can be learned beside them. The codes and
 * the scales are packed as those of any method.
 */
final class AdaptiveRounding implements WeightParametrization {
  private static final float STRETCH = 1.2f;
  private static final float MARGIN = 0.1f;

  /** {@link #state}: still learned. */
  private static final byte SOFT = 0;

  /** Fixed at the code below, which may be one that was clamped. */
  private static final byte DOWN = 1;

  /** Fixed at the code above. */
  private static final byte UP = 2;

  private final QuantizedLinear grid;
  private final WorkerThreads workers;
  private final int columns;
  private final int group;
  private final int groups;

  /** Codes rounded down. */
  private final byte[] floors;

  private final byte[] state;
  private final Parameter choices;
  private final Parameter scaling;
  private final int learned;

  /**
   * Begins.
   *
   * @param weights [rows, columns]
   * @param grid scales and zeros for them
   */
  AdaptiveRounding(float[] weights, QuantizedLinear grid, WorkerThreads workers) {
    this.grid = grid;
    this.workers = workers;
    columns = grid.layout().columns();
    group = grid.groupColumns();
    groups = grid.layout().groups();
    floors = new byte[weights.length];
    state = new byte[weights.length];
    float[] start = new float[weights.length];
    int levels = (1 << grid.layout().bits()) - 1;
    int soft = 0;
    for (int i = 0; i < weights.length; i++) {
      int at = scaleIndex(i);
      float scale = Float.float16ToFloat(grid.scales()[at]);
      int zero = grid.zeros()[at] & 0xff;
      double exact = scale == 0 ? 0 : weights[i] / scale;
      int floor = (int) Math.floor(exact) + zero;
      floors[i] = (byte) Math.clamp(floor, 0, levels);
      if (scale == 0 || floor < 0 || floor >= levels) {
        state[i] = DOWN;
      } else {
        double h = (exact - Math.floor(exact) + MARGIN) / STRETCH;
        start[i] = (float) Math.log(h / (1 - h));
        soft++;
      }
    }
    choices = new Parameter(start);
    scaling = new Parameter(new float[grid.scales().length]);
    learned = soft;
  }

  private int scaleIndex(int i) {
    return i / columns * groups + i % columns / group;
  }

  /** The first weight of a scale. */
  private int first(int at) {
    return at / groups * columns + at % groups * group;
  }

  /** One past its last. */
  private int end(int at) {
    return Math.min(first(at) + group, (at / groups + 1) * columns);
  }

  /** Fixes the most decided weights, until {@code softShare} of those that were learned is left. */
  void harden(double softShare) {
    float[] doubts = new float[learned];
    int soft = 0;
    for (int i = 0; i < state.length; i++) {
      if (state[i] == SOFT) {
        doubts[soft++] = Math.abs(share(i) - 0.5f);
      }
    }
    Arrays.sort(doubts, 0, soft);
    int kept = Math.min(soft, (int) Math.round(softShare * learned));
    for (int i = 0; i < state.length; i++) {
      if (state[i] == SOFT && (kept == 0 || Math.abs(share(i) - 0.5f) > doubts[kept - 1])) {
        state[i] = share(i) > 0.5f ? UP : DOWN;
      }
    }
  }

  /** How much of the way up a weight is rounded, 0 to 1. */
  private float share(int i) {
    return switch (state[i]) {
      case DOWN -> 0;
      case UP -> 1;
      default -> Math.clamp(sigmoid(choices.value[i]) * STRETCH - MARGIN, 0f, 1f);
    };
  }

  private short scale(int at) {
    float base = Float.float16ToFloat(grid.scales()[at]);
    return Float.floatToFloat16(base * 2 * sigmoid(scaling.value[at]));
  }

  @Override
  public void round(float[] weights, float[] rounded) {
    workers.run(
        grid.layout().rows(),
        (from, to, worker) -> {
          for (int at = from * groups; at < to * groups; at++) {
            int zero = grid.zeros()[at] & 0xff;
            float scale = Float.float16ToFloat(scale(at));
            for (int i = first(at); i < end(at); i++) {
              rounded[i] = ((floors[i] & 0xff) - zero + share(i)) * scale;
            }
          }
        });
  }

  /** The weights themselves are not learned here: their gradient is left undefined. */
  @Override
  public void backward(float[] weights, float[] gradient) {
    workers.run(
        grid.layout().rows(),
        (from, to, worker) -> {
          for (int at = from * groups; at < to * groups; at++) {
            int zero = grid.zeros()[at] & 0xff;
            float scale = Float.float16ToFloat(scale(at));
            double sum = 0;
            for (int i = first(at); i < end(at); i++) {
              float share = share(i);
              sum += gradient[i] * ((floors[i] & 0xff) - zero + share);
              choices.gradient[i] = slope(i, share) * gradient[i] * scale;
            }
            float s = sigmoid(scaling.value[at]);
            float base = Float.float16ToFloat(grid.scales()[at]);
            scaling.gradient[at] = (float) (sum * base * 2 * s * (1 - s));
          }
        });
  }

  /**
   * Adds to the gradient that of weight times the sum of 1 - |2 h - 1|^beta over all weights, which
   * is least where all are decided.
   *
   * @param weight of the sum, beside the loss
   * @param beta how late the pull begins on the way from a half: large for late
   */
  void addDecisiveness(double weight, double beta) {
    workers.run(
        grid.layout().rows(),
        (from, to, worker) -> {
          for (int i = from * columns; i < to * columns; i++) {
            float share = share(i);
            float slope = slope(i, share);
            if (slope != 0) {
              double side = 2.0 * share - 1;
              double pull = -2 * beta * Math.signum(side) * Math.pow(Math.abs(side), beta - 1);
              choices.gradient[i] += (float) (weight * pull * slope);
            }
          }
        });
  }

  /** Slope of h where a weight is at {@code share}. */
  private float slope(int i, float share) {
    if (state[i] != SOFT || share <= 0 || share >= 1) {
      return 0;
    }
    float s = (share + MARGIN) / STRETCH;
    return STRETCH * s * (1 - s);
  }

  /** v, one a weight. */
  Parameter choices() {
    return choices;
  }

  /** u, one a scale. */
  Parameter scaling() {
    return scaling;
  }

  @Override
  public List<Parameter> parameters() {
    return List.of(choices, scaling);
  }

  @Override
  public QuantizedLinear freeze(float[] weights) {
    QuantizedLinear linear = QuantizedLinear.empty(grid.layout(), grid.symmetric());
    for (int i = 0; i < floors.length; i++) {
      linear.codes()[i] = (byte) (floors[i] + (share(i) > 0.5f ? 1 : 0));
    }
    for (int at = 0; at < grid.scales().length; at++) {
      linear.scales()[at] = scale(at);
      linear.zeros()[at] = grid.zeros()[at];
    }
    return linear;
  }

  private static float sigmoid(float x) {
    return (float) (1 / (1 + Math.exp(-x)));
  }
}
