package dev.nibble.runtime.kernel;

import dev.nibble.quantizer.tensor.ScalarOperations;
import dev.nibble.runtime.cuda.Element;
import dev.nibble.runtime.kernel.ActivationFunction.Kind;
import dev.nibble.runtime.kernel.CodeRule.Range;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** activation: the functions, alone, in place and with codes. */
@KernelTest
class ActivationFunctionGpuTest {
  private static final double HALF_LIMIT = 1e-6;

  /** Rows, columns, columns of a sum. */
  private static final int[][] SHAPES = {
    {1, 1, 1},
    {3, 7, 7},
    {17, 31, 32},
    {2, 33, 32},
    {5, 160, 64},
    {3, 4097, 128},
    {2, 11008, 11008},
    {8, 65, 32},
    {15, 33, 33},
    {16, 96, 32},
    {64, 31, 32},
    {127, 65, 64},
    {129, 32, 32}
  };

  private static final int[][] TRACED_SHAPES = {
    {1, 1, 1}, {3, 7, 7}, {17, 31, 32}, {5, 160, 64}, {3, 4097, 128}
  };

  private static GpuFixture gpu;
  private static ActivationFunction functions;

  @BeforeAll
  static void open() {
    gpu = GpuFixture.open(ActivationFunctionGpuTest.class);
    functions = new ActivationFunction(gpu.kernels(), 12_288);
  }

  @AfterAll
  static void close() {
    gpu.close();
  }

  @ParameterizedTest
  @EnumSource(Kind.class)
  void functionsAndCodes(Kind kind) {
    Random random = GpuFixture.random();
    for (int[] shape : gpu.isTraced() ? TRACED_SHAPES : SHAPES) {
      int columns = shape[1];
      int count = shape[0] * columns;
      float[] x = GpuFixture.rounded(GpuFixture.gaussian(random, count, 3));
      float[] up = GpuFixture.halfGaussian(random, count);
      float[] expected = oracle(kind, x, up);
      String what = kind + " [" + shape[0] + ", " + columns + "]";
      check(kind, x, up, expected, columns, null, shape[2], what);
      for (int bits : new int[] {4, 6, 8}) {
        for (Range range : Range.values()) {
          if (range != Range.STATIC || columns % 32 == 0) {
            int outliers = Math.min(columns, 3);
            TestCodes.Rule rule = TestCodes.Rule.of(random, bits, range, columns, outliers);
            String how = what + " " + bits + " bits " + range;
            check(kind, x, up, expected, columns, rule, shape[2], how);
          }
        }
      }
    }
  }

  private static float[] oracle(Kind kind, float[] x, float[] up) {
    float[] y = x.clone();
    try (ScalarOperations oracle = new ScalarOperations()) {
      switch (kind) {
        case NONE -> {}
        case SWIGLU -> oracle.swiGlu(y, up, y.length);
        case GELU -> oracle.gelu(y, y.length);
        case RELU -> oracle.relu(y, y.length);
      }
    }
    return y;
  }

  private static void check(
      Kind kind,
      float[] x,
      float[] up,
      float[] expected,
      int columns,
      TestCodes.@Nullable Rule rule,
      int group,
      String what) {
    int rows = x.length / columns;
    MatrixRows input = gpu.halfRows(x, columns);
    // Without codes in place, as the engine has it.
    MatrixRows y = rule == null ? input : gpu.rows(Element.HALF, rows, columns);
    ActivationCodes codes = rule == null ? null : TestCodes.room(gpu, rows, columns, group);
    functions.launch(
        gpu.stream(),
        kind,
        input,
        kind == Kind.SWIGLU ? gpu.halfRows(up, columns) : null,
        rows,
        columns,
        y,
        rule == null ? null : rule.upload(gpu),
        codes);
    // The functions' tails are so small that a half has few bits of them.
    gpu.expect(HALF_LIMIT, GpuFixture.rounded(expected), Element.HALF, y, columns, what);
    if (rule != null && codes != null) {
      boolean exact = kind == Kind.NONE || kind == Kind.RELU;
      TestCodes.of(expected, columns, group, rule)
          .expect(gpu, exact ? 0 : 2 * Math.pow(4, -rule.bits()), codes, what);
    }
  }
}
