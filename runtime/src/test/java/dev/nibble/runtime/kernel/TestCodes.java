package dev.nibble.runtime.kernel;

import dev.nibble.runtime.cuda.Element;
import dev.nibble.runtime.kernel.CodeRule.Range;
import java.util.Arrays;
import java.util.Random;

/** Codes of rows by the formula of act_quant.h and row_norm.h, and room for those of a kernel. */
final class TestCodes {
  private static final int CLUSTER = 32;
  private static final int UNIT = 128;
  private static final float SMALLEST_STEP = 1e-5f;
  private static final float LARGEST_STEP = 1e4f;

  /**
   * How codes are made.
   *
   * @param steps one for each 32 columns where the range is static
   * @param zeros likewise
   * @param outliers columns that count as 0
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  record Rule(int bits, Range range, float[] steps, int[] zeros, int[] outliers) {
    /** A rule with all that goes with a range, for rows of some columns. */
    static Rule of(Random random, int bits, Range range, int columns, int outlierCount) {
      int clusters = Math.ceilDiv(columns, CLUSTER);
      float[] steps = new float[clusters];
      for (int i = 0; i < clusters; i++) {
        steps[i] = (1 + random.nextFloat()) * 4 / (1 << bits);
      }
      int[] zeros = random.ints(clusters, 0, 1 << bits).toArray();
      int[] outliers = random.ints(0, columns).distinct().limit(outlierCount).sorted().toArray();
      return new Rule(bits, range, steps, zeros, outliers);
    }

    CodeRule upload(GpuFixture gpu) {
      boolean fixed = range == Range.STATIC;
      return new CodeRule(
          bits,
          range,
          fixed ? gpu.floats(steps) : null,
          fixed ? gpu.ints(zeros) : null,
          outliers.length == 0 ? null : gpu.ints(outliers));
    }
  }

  private final int columns;
  private final int group;
  private final float[] codes;
  private final float[] scales;
  private final float[] zeros;
  private final float[] sums;

  private TestCodes(int rows, int columns, int group) {
    this.columns = columns;
    this.group = group;
    codes = new float[rows * padded(columns)];
    scales = new float[rows];
    zeros = new float[rows];
    sums = new float[rows * Math.ceilDiv(columns, group)];
  }

  static TestCodes of(float[] x, int columns, int group, Rule rule) {
    int rows = x.length / columns;
    TestCodes codes = new TestCodes(rows, columns, group);
    for (int row = 0; row < rows; row++) {
      codes.quantize(row, Arrays.copyOfRange(x, row * columns, (row + 1) * columns), rule);
    }
    return codes;
  }

  private static int padded(int columns) {
    return Math.ceilDiv(columns, UNIT) * UNIT;
  }

  private void quantize(int row, float[] x, Rule rule) {
    for (int outlier : rule.outliers) {
      x[outlier] = 0;
    }
    float min = x[0];
    float max = x[0];
    for (float value : x) {
      min = Math.min(min, value);
      max = Math.max(max, value);
    }
    int half = 1 << (rule.bits - 1);
    boolean fixed = rule.range == Range.STATIC;
    boolean symmetric = rule.range == Range.SYMMETRIC;
    float step = symmetric ? Math.max(-min, max) / (half - 1) : (max - min) / (2 * half - 1);
    step = fixed ? 1 : Math.clamp(step, SMALLEST_STEP, LARGEST_STEP);
    float zero = symmetric || fixed ? half : (float) Math.rint(-min / step);
    scales[row] = step;
    zeros[row] = zero - half;
    int groups = Math.ceilDiv(columns, group);
    for (int i = 0; i < columns; i++) {
      float by = fixed ? rule.steps[i / CLUSTER] : step;
      float from = fixed ? rule.zeros[i / CLUSTER] : zero;
      float code = (float) Math.rint(x[i] / by) + from;
      float kept = Math.clamp(code, 0f, 2 * half - 1f) - half;
      codes[row * padded(columns) + i] = kept;
      sums[row * groups + i / group] += kept;
    }
  }

  /** The codes without padding, [rows, columns]. */
  float[] values() {
    float[] values = new float[scales.length * columns];
    for (int row = 0; row < scales.length; row++) {
      System.arraycopy(codes, row * padded(columns), values, row * columns, columns);
    }
    return values;
  }

  static ActivationCodes room(GpuFixture gpu, int rows, int columns, int group) {
    return new ActivationCodes(
        columns,
        group,
        gpu.room((long) rows * padded(columns)),
        gpu.room((long) Float.BYTES * rows),
        gpu.room((long) Float.BYTES * rows),
        gpu.room((long) Integer.BYTES * rows * Math.ceilDiv(columns, group)));
  }

  /**
   * Expects these in a kernel's room.
   *
   * @param limit of codes and sums; 0 where the inputs are exact
   */
  void expect(GpuFixture gpu, double limit, ActivationCodes found, String what) {
    double ofScales = limit == 0 ? 0 : 1e-10;
    gpu.expect(ofScales, scales, Element.FLOAT, found.scales(), what + ", scales");
    gpu.expect(limit, zeros, Element.FLOAT, found.zeros(), what + ", zeros");
    gpu.expect(limit, codes, Element.CODE, found.codes(), what + ", codes");
    gpu.expect(limit, sums, Element.INT, found.sums(), what + ", sums");
  }
}
