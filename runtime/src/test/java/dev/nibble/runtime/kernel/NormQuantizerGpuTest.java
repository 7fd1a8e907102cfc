package dev.nibble.runtime.kernel;

import dev.nibble.quantizer.tensor.ScalarOperations;
import dev.nibble.runtime.cuda.Element;
import dev.nibble.runtime.kernel.CodeRule.Range;
import dev.nibble.runtime.kernel.NormQuantizer.Kind;
import java.util.Arrays;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** row_norm: norms, channel order and codes, of rows from any on. */
@KernelTest
class NormQuantizerGpuTest {
  private static final float EPSILON = 1e-5f;

  private static GpuFixture gpu;
  private static NormQuantizer norms;

  @BeforeAll
  static void open() {
    gpu = GpuFixture.open(NormQuantizerGpuTest.class);
    norms = new NormQuantizer(gpu.kernels(), 12_288);
  }

  @AfterAll
  static void close() {
    gpu.close();
  }

  private static NormQuantizer.Weights weights(
      Kind kind, float[] weight, float[] bias, short @Nullable [] order) {
    return new NormQuantizer.Weights(
        kind,
        weight.length,
        EPSILON,
        gpu.floats(weight),
        kind == Kind.LAYER ? gpu.floats(bias) : null,
        order == null ? null : gpu.shorts(order));
  }

  @ParameterizedTest
  @CsvSource({
    "RMS, 1, 1, 32",
    "RMS, 3, 7, 0",
    "RMS, 2, 129, 32",
    "RMS, 17, 160, 64",
    "RMS, 5, 4097, 128",
    "RMS, 2, 11008, 0",
    "RMS, 8, 65, 32",
    "RMS, 15, 31, 0",
    "RMS, 64, 33, 32",
    "RMS, 129, 32, 32",
    "LAYER, 1, 31, 32",
    "LAYER, 3, 33, 0",
    "LAYER, 17, 192, 64",
    "LAYER, 2, 2051, 128",
    "LAYER, 16, 97, 32",
    "LAYER, 127, 65, 64"
  })
  void normsAndCodes(Kind kind, int rows, int columns, int group) {
    Random random = GpuFixture.random();
    float[] x = GpuFixture.gaussian(random, (rows + 2) * columns, 3);
    float[] weight = GpuFixture.gaussian(random, columns, 1);
    float[] bias = GpuFixture.gaussian(random, columns, 1);
    int groupColumns = group == 0 ? columns : group;
    for (short[] order : new short[][] {null, Permutation.of(random, columns)}) {
      float[] normed = oracle(kind, x, columns, weight, bias);
      float[] read = order == null ? normed : Permutation.columns(normed, order);
      NormQuantizer.Weights weights = weights(kind, weight, bias, order);
      MatrixRows residual = gpu.floatRows(x, columns);
      for (int firstRow : new int[] {0, 2}) {
        float[] expected =
            Arrays.copyOfRange(read, firstRow * columns, (firstRow + rows) * columns);
        String what = kind + " [" + rows + ", " + columns + "]";
        check(weights, residual, null, firstRow, expected, null, groupColumns, what);
        for (int bits : new int[] {4, 6, 8}) {
          for (Range range : Range.values()) {
            // Static steps come for whole clusters.
            if (range != Range.STATIC || columns % 32 == 0) {
              int outliers = Math.min(columns, 3);
              check(
                  weights,
                  residual,
                  null,
                  firstRow,
                  expected,
                  TestCodes.Rule.of(random, bits, range, columns, outliers),
                  groupColumns,
                  what + " " + bits + " bits " + range);
            }
          }
        }
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "RMS, 1, 1, 32",
    "RMS, 3, 7, 0",
    "RMS, 17, 160, 64",
    "RMS, 2, 11008, 0",
    "RMS, 129, 33, 32",
    "LAYER, 2, 31, 32",
    "LAYER, 16, 129, 128",
    "LAYER, 3, 2051, 128"
  })
  void whatIsAddedFirstStays(Kind kind, int rows, int columns, int group) {
    Random random = GpuFixture.random();
    float[] x = GpuFixture.gaussian(random, (rows + 2) * columns, 3);
    float[] delta = GpuFixture.halfGaussian(random, x.length);
    float[] weight = GpuFixture.gaussian(random, columns, 1);
    float[] bias = GpuFixture.gaussian(random, columns, 1);
    NormQuantizer.Weights weights = weights(kind, weight, bias, null);
    for (int firstRow : new int[] {0, 2}) {
      int from = firstRow * columns;
      int to = from + rows * columns;
      float[] sums = x.clone();
      for (int i = from; i < to; i++) {
        sums[i] += delta[i];
      }
      float[] normed = oracle(kind, sums, columns, weight, bias);
      float[] expected = Arrays.copyOfRange(normed, from, to);
      for (int bits : new int[] {16, 8, 4}) {
        TestCodes.Rule rule =
            bits == 16 ? null : TestCodes.Rule.of(random, bits, Range.ASYMMETRIC, columns, 1);
        MatrixRows residual = gpu.floatRows(x, columns);
        MatrixRows added = gpu.halfRows(delta, columns);
        String what = kind + " [" + rows + ", " + columns + "] and delta, " + bits + " bits";
        int groupColumns = group == 0 ? columns : group;
        check(weights, residual, added, firstRow, expected, rule, groupColumns, what);
        gpu.expect(0, sums, Element.FLOAT, residual, columns, what + ", residual");
      }
    }
  }

  private static float[] oracle(Kind kind, float[] x, int columns, float[] weight, float[] bias) {
    float[] y = new float[x.length];
    try (ScalarOperations oracle = new ScalarOperations()) {
      switch (kind) {
        case RMS -> oracle.rmsNorm(x, 0, x.length / columns, weight, EPSILON, y);
        case LAYER -> oracle.layerNorm(x, 0, x.length / columns, weight, bias, EPSILON, y);
      }
    }
    return y;
  }

  private static void check(
      NormQuantizer.Weights weights,
      MatrixRows residual,
      @Nullable MatrixRows delta,
      int firstRow,
      float[] expected,
      TestCodes.@Nullable Rule rule,
      int group,
      String what) {
    int columns = weights.columns();
    int rows = expected.length / columns;
    MatrixRows y = gpu.rows(Element.HALF, rows, columns);
    ActivationCodes codes = rule == null ? null : TestCodes.room(gpu, rows, columns, group);
    norms.launch(
        gpu.stream(),
        weights,
        residual,
        delta,
        firstRow,
        rows,
        y,
        rule == null ? null : rule.upload(gpu),
        codes);
    gpu.expect(GpuFixture.halfLimit(expected.length), expected, Element.HALF, y, columns, what);
    if (rule != null && codes != null) {
      // A sum in another order moves a value over the edge between two codes now and then.
      TestCodes.of(expected, columns, group, rule)
          .expect(gpu, 2 * Math.pow(4, -rule.bits()), codes, what);
    }
  }
}
