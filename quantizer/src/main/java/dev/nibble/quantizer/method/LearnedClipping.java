package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.util.Arrays;
import java.util.List;

/**
 * Learnable weight clipping (OmniQuant, Shao et al. 2024, section 3.2): each group's range is
 * narrowed to sigmoid(up) max and sigmoid(low) min. Unlike upstream the range includes 0, the zero
 * lies within the codes, and the step is rounded to fp16 in training too, so that what is trained
 * is what is packed. Wide open it is {@link NearestRounding} bit for bit.
 */
final class LearnedClipping implements WeightParametrization {
  /** Where training starts: sigmoid(4) is 0.982. */
  static final float START = 4;

  private final PackedLayout layout;
  private final boolean symmetric;
  private final WeightGrid grid;
  private final WorkerThreads workers;
  private final int group;

  /** One a scale. */
  private final Parameter up;

  private final Parameter low;

  LearnedClipping(PackedLayout layout, boolean symmetric, float start, WorkerThreads workers) {
    this.layout = layout;
    this.symmetric = symmetric;
    this.workers = workers;
    grid = WeightGrid.of(layout, symmetric);
    group = layout.groupSize() == 0 ? layout.columns() : layout.groupSize();
    float[] start1 = new float[Math.multiplyExact(layout.rows(), layout.groups())];
    Arrays.fill(start1, start);
    up = new Parameter(start1);
    low = new Parameter(start1.clone());
  }

  /** A group's grid, and what its gradient needs. Each worker has its own. */
  private final class Range {
    int begin;
    int end;
    float min;
    float max;
    float upper;
    float lower;
    short half;
    float step;
    int zero;

    void set(float[] weights, int row, int index) {
      begin = row * layout.columns() + index * group;
      end = Math.min(begin + group, (row + 1) * layout.columns());
      WeightRange whole = WeightRange.of(weights, begin, end);
      min = whole.min();
      max = whole.max();
      int at = row * layout.groups() + index;
      upper = sigmoid(up.value[at]);
      lower = sigmoid(low.value[at]);
      half = grid.step(lower * min, upper * max);
      step = Float.float16ToFloat(half);
      zero = grid.zero(lower * min, step);
    }
  }

  /** Work on one group. */
  @FunctionalInterface
  private interface GroupTask {
    void run(Range range, int at);
  }

  private void each(float[] weights, GroupTask task) {
    workers.run(
        layout.rows(),
        (from, to, worker) -> {
          Range range = new Range();
          for (int row = from; row < to; row++) {
            for (int index = 0; index < layout.groups(); index++) {
              range.set(weights, row, index);
              task.run(range, row * layout.groups() + index);
            }
          }
        });
  }

  @Override
  public void round(float[] weights, float[] rounded) {
    each(
        weights,
        (range, at) -> {
          for (int i = range.begin; i < range.end; i++) {
            int code = grid.code(weights[i], range.step, range.zero);
            rounded[i] = (code - range.zero) * range.step;
          }
        });
  }

  @Override
  public void backward(float[] weights, float[] gradient) {
    each(weights, (range, at) -> backward(weights, gradient, range, at));
  }

  /** Codes in range pass their gradient on; all of them move the step, z held fixed. */
  private void backward(float[] weights, float[] gradient, Range range, int at) {
    up.gradient[at] = 0;
    low.gradient[at] = 0;
    float h = range.step;
    if (h == 0) {
      return;
    }
    int levels = grid.levels();
    double dh = 0;
    int highest = -1;
    int lowest = -1;
    for (int i = range.begin; i < range.end; i++) {
      float d = gradient[i];
      float w = weights[i];
      float code = (float) Math.rint(w / h) + range.zero;
      if (code >= 0 && code <= levels) {
        dh += d * (code - range.zero - w / h);
      } else {
        dh += d * ((code < 0 ? 0 : levels) - range.zero);
        gradient[i] = 0;
      }
      highest = highest < 0 && w == range.max ? i : highest;
      lowest = lowest < 0 && w == range.min ? i : lowest;
    }
    float top = range.upper * range.max;
    float bottom = -range.lower * range.min;
    double share = dh / (symmetric ? (1 << (layout.bits() - 1)) - 1 : levels);
    if (!symmetric || top >= bottom) {
      up.gradient[at] = (float) (share * range.upper * (1 - range.upper) * range.max);
      if (highest >= 0) {
        gradient[highest] += (float) (share * range.upper);
      }
    }
    if (!symmetric || top < bottom) {
      low.gradient[at] = (float) (-share * range.lower * (1 - range.lower) * range.min);
      if (lowest >= 0) {
        gradient[lowest] -= (float) (share * range.lower);
      }
    }
  }

  @Override
  public List<Parameter> parameters() {
    return List.of(up, low);
  }

  @Override
  public QuantizedLinear freeze(float[] weights) {
    QuantizedLinear linear = QuantizedLinear.empty(layout, symmetric);
    each(
        weights,
        (range, at) -> {
          linear.scales()[at] = range.half;
          linear.zeros()[at] = (byte) range.zero;
          for (int i = range.begin; i < range.end; i++) {
            linear.codes()[i] = (byte) grid.code(weights[i], range.step, range.zero);
          }
        });
    return linear;
  }

  private static float sigmoid(float x) {
    return (float) (1 / (1 + Math.exp(-x)));
  }
}
