package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.util.Arrays;
import java.util.List;

/**
 * Progressive adaptive rounding (TesseraQ, Li and Panda 2024): whether each weight is rounded down
 * or up is learned, from the grid that another method found. A weight is floor(w / s) + h(v) with h
 * a sigmoid stretched to [-0.1, 1.1] and clipped; round by round those that are nearly decided are
 * fixed, until all are. A factor 2 sigmoid(u) of each scale is learned beside them. The codes and
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

  /** Codes rounded down. */
  private final byte[] floors;

  private final byte[] state;
  private final Parameter rounding;
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
    rounding = new Parameter(start);
    scaling = new Parameter(new float[grid.scales().length]);
    learned = soft;
  }

  private int scaleIndex(int i) {
    return i / columns * grid.layout().groups() + i % columns / group;
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
      default -> Math.clamp(sigmoid(rounding.value[i]) * STRETCH - MARGIN, 0f, 1f);
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
          for (int i = from * columns; i < to * columns; i++) {
            int at = scaleIndex(i);
            float offset = (floors[i] & 0xff) - (grid.zeros()[at] & 0xff);
            rounded[i] = (offset + share(i)) * Float.float16ToFloat(scale(at));
          }
        });
  }

  /** The weights themselves are not learned here: their gradient is left undefined. */
  @Override
  public void backward(float[] weights, float[] gradient) {
    workers.run(
        grid.layout().rows(),
        (from, to, worker) -> {
          int groups = grid.layout().groups();
          double[] sums = new double[groups];
          for (int row = from; row < to; row++) {
            Arrays.fill(sums, 0);
            for (int i = row * columns; i < (row + 1) * columns; i++) {
              int at = scaleIndex(i);
              float offset = (floors[i] & 0xff) - (grid.zeros()[at] & 0xff);
              sums[at - row * groups] += gradient[i] * (offset + share(i));
              rounding.gradient[i] = slope(i) * gradient[i] * Float.float16ToFloat(scale(at));
            }
            for (int g = 0; g < groups; g++) {
              int at = row * groups + g;
              float s = sigmoid(scaling.value[at]);
              float base = Float.float16ToFloat(grid.scales()[at]);
              scaling.gradient[at] = (float) (sums[g] * base * 2 * s * (1 - s));
            }
          }
        });
  }

  private float slope(int i) {
    float share = share(i);
    if (state[i] != SOFT || share <= 0 || share >= 1) {
      return 0;
    }
    float s = sigmoid(rounding.value[i]);
    return STRETCH * s * (1 - s);
  }

  @Override
  public List<Parameter> parameters() {
    return List.of(rounding, scaling);
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
