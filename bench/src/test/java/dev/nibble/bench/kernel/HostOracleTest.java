package dev.nibble.bench.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.bench.LinearShape;
import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.tensor.KvLayer;
import dev.nibble.quantizer.tensor.ScalarOperations;
import dev.nibble.quantizer.tensor.TensorOperations;
import dev.nibble.quantizer.tensor.WeightMatrix;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.DoubleSummaryStatistics;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What kernels are held to before they are timed, against the project's scalar operations. */
class HostOracleTest {
  private static final LinearShape SHAPE = new LinearShape(192, 640);

  @ParameterizedTest
  @ValueSource(
      strings = {"W16A16", "W4A16g128", "W3A16g128", "W2A16g64", "W8A16", "W4A16sym", "W6A16g32"})
  void weightsAreThoseOfTheScalarProduct(String scheme) {
    try (Arena arena = Arena.ofConfined();
        TensorOperations scalar = new ScalarOperations()) {
      HostLinear linear = HostLinear.random(SHAPE, QuantScheme.parse(scheme), arena, 7);
      float[] x = HostInputs.random(1, SHAPE.columns(), 8).values();
      float[] expected = new float[SHAPE.rows()];
      scalar.matmul(x, 0, 1, scalar.prepare(matrix(linear), arena), expected, 0);
      for (int first = 0; first < SHAPE.rows(); first += HostLinear.BLOCK) {
        double[][] block = linear.block(first);
        for (int r = 0; r < HostLinear.BLOCK; r++) {
          double sum = 0;
          for (int c = 0; c < SHAPE.columns(); c++) {
            sum += block[r][c] * x[c];
          }
          assertEquals(expected[first + r], sum, 1e-4, scheme);
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(StepProductBench.Form.class)
  void productsOfAStepAreThoseOfTheScalarOperations(StepProductBench.Form form) {
    int rows = SHAPE.rows();
    int columns = SHAPE.columns();
    try (Arena arena = Arena.ofConfined();
        TensorOperations scalar = new ScalarOperations()) {
      LinearShape twice = new LinearShape(2 * rows, columns);
      HostLinear linear = HostLinear.random(twice, QuantScheme.parse("W4A16g128"), arena, 7);
      float[] input = HostInputs.random(1, columns, 8).values();
      float[] norm = form == StepProductBench.Form.ADD ? null : input.clone();
      float[] x = input.clone();
      if (norm != null) {
        scalar.rmsNorm(input, 0, 1, norm, 1e-5f, x);
      }
      float[] before = HostInputs.random(1, 2 * rows, 9).values();
      float[] expected = new float[2 * rows];
      scalar.matmul(x, 0, 1, scalar.prepare(matrix(linear), arena), expected, 0);
      switch (form) {
        case NORM -> {}
        case NORM_SWIGLU -> {
          float[] up = Arrays.copyOfRange(expected, rows, 2 * rows);
          expected = Arrays.copyOf(expected, rows);
          scalar.swiGlu(expected, up, rows);
        }
        case ADD -> scalar.add(expected, before, 2 * rows);
      }
      assertEquals(expected.length, form.outputs(linear));
      double[] multiplied = StepProductBench.multiplied(input, norm);
      for (int first = 0; first < expected.length; first += HostLinear.BLOCK) {
        double[] found = form.expected(linear, multiplied, before, first);
        for (int r = 0; r < HostLinear.BLOCK; r++) {
          assertEquals(expected[first + r], found[r], 1e-4, form + ", row " + (first + r));
        }
      }
    }
  }

  private static WeightMatrix matrix(HostLinear linear) {
    return linear.layout() == null
        ? new WeightMatrix.Dense(DType.F16, linear.rows(), linear.columns(), linear.matrix())
        : new WeightMatrix.Packed(
            linear.layout(),
            linear.matrix(),
            Objects.requireNonNull(linear.scales()),
            linear.zeros());
  }

  @ParameterizedTest
  @CsvSource({"16, 2", "8, 2", "4, 1", "3, 4"})
  void attentionIsThatOfTheScalarOperations(int bits, int kvHeads) {
    int heads = 4;
    int headDim = 32;
    int positions = 37;
    float[] keys = HostInputs.random(positions, kvHeads * headDim, 1).values();
    float[] values = HostInputs.random(positions, kvHeads * headDim, 2000).values();
    float[] queries = HostInputs.random(1, heads * headDim, 3000).values();
    float[] expected = new float[heads * headDim];
    try (TensorOperations scalar = new ScalarOperations()) {
      KvLayer layer = new KvLayer(bits, positions, kvHeads, headDim);
      scalar.append(layer, 0, keys, values, 0, positions);
      scalar.attention(queries, 0, 1, heads, layer, positions - 1, 0, expected);
    }
    HostCache cache = HostCache.of(keys, values, kvHeads, headDim, bits);
    double[] exact = new double[headDim];
    Arrays.setAll(exact, d -> values[(7 * kvHeads + kvHeads - 1) * headDim + d]);
    DoubleSummaryStatistics range = Arrays.stream(exact).summaryStatistics();
    double step = (range.getMax() - range.getMin()) / ((1 << bits) - 1);
    assertArrayEquals(exact, cache.value(7, kvHeads - 1), 0.51 * step + 5e-3);
    for (int head = 0; head < heads; head++) {
      double[] found = cache.attend(queries, 0, head, head / (heads / kvHeads), positions);
      for (int d = 0; d < headDim; d++) {
        assertEquals(expected[head * headDim + d], found[d], 1e-5, "head " + head);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {4, 6, 8})
  void inputsAreRoundedToTheirSteps(int bits) {
    HostInputs inputs = HostInputs.random(3, 100, 5);
    for (int token = 0; token < 3; token++) {
      double[] exact = inputs.token(token, 16);
      double[] rounded = inputs.token(token, bits);
      double width = 0;
      for (double a : exact) {
        for (double b : exact) {
          width = Math.max(width, a - b);
        }
      }
      double step = width / ((1 << bits) - 1);
      for (int c = 0; c < 100; c++) {
        assertEquals(exact[c], rounded[c], 1.01 * step);
        assertEquals(0, Math.IEEEremainder(rounded[c] / step, 1), 1e-4);
      }
    }
  }

  @Test
  void resultsThatAreOffAreRefused() {
    double[] expected = {1, -1, 2};
    Tolerance.require("y", expected, new float[] {1, -1, 2.005f}, Tolerance.LIMIT);
    WrongResultException refusal =
        assertThrows(
            WrongResultException.class,
            () -> Tolerance.require("y", expected, new float[] {1, -1.1f, 2}, Tolerance.LIMIT));
    assertTrue(refusal.getMessage().startsWith("y: result 1 is -1.1"), refusal.getMessage());
    assertThrows(
        WrongResultException.class,
        () -> Tolerance.require("y", expected, new float[] {1, Float.NaN, 2}, Tolerance.LIMIT));
  }

  @Test
  void graphsGoRoundAllCopies() {
    assertEquals(3, Workbench.rotations(100L << 20));
    assertEquals(1, Workbench.rotations(300L << 20));
    for (int copies : new int[] {1, 2, 5, 7, 100}) {
      for (int tokens : new int[] {1, 64, 2048}) {
        assertEquals(0, ProductBench.launches(copies, tokens) % copies);
      }
    }
  }
}
