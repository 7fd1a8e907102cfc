package dev.nibble.quantizer.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.nibble.quantizer.format.ModelConfig.RopeConfig;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.BiConsumer;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The vector provider against the scalar one, and against itself with other threads and batches. In
 * this JVM at the processor's width; {@link #otherWidths} repeats it at the narrower ones.
 */
class VectorOperationsTest {
  private static final int[] WIDTHS = {1, 7, 8, 15, 16, 17, 31, 33, 64, 127, 129, 1000};

  private final Samples samples = new Samples();

  static IntStream narrowerWidths() {
    return IntStream.of(128, 256).filter(bits -> bits < Lanes.bits());
  }

  @ParameterizedTest
  @MethodSource("narrowerWidths")
  void otherWidths(int bits) throws Exception {
    ChildJvm.Result result =
        ChildJvm.run(
            List.of("--add-modules=jdk.incubator.vector", "-Dnibble.vector.bits=" + bits),
            VectorOperationsTest.class);
    assertEquals(0, result.exit(), result.err());
    assertEquals("agree at " + bits, result.out().strip());
  }

  /** All checks, for a JVM of another width. */
  public static void main(String[] arguments) {
    VectorOperationsTest test = new VectorOperationsTest();
    test.rowOperationsAgree();
    test.elementOperationsAgree();
    test.ropeAgrees();
    test.exponentialIsExact();
    test.quantizingIsExact();
    test.rowsTogetherAreRowsAlone();
    VectorAttentionTest attention = new VectorAttentionTest();
    attention.attentionAgrees();
    attention.threadsAndBatchesChangeNoBit();
    attention.unusedCapacityIsNeverRead();
    System.out.println("agree at " + Lanes.bits());
  }

  /** Runs one operation on both providers, on copies of x. */
  private void agree(
      String what, float[] x, double limit, BiConsumer<TensorOperations, float[]> operation) {
    float[] expected = x.clone();
    operation.accept(new ScalarOperations(), expected);
    float[] first = null;
    for (int threads = 1; threads <= 3; threads++) {
      float[] actual = x.clone();
      try (TensorOperations vector = new VectorOperations(threads)) {
        operation.accept(vector, actual);
      }
      if (first == null) {
        Samples.assertClose(expected, actual, limit, what);
        first = actual;
      }
      Samples.assertBits(first, actual, what + " with " + threads + " threads");
    }
  }

  @Test
  void rowOperationsAgree() {
    for (int width : WIDTHS) {
      int rows = samples.between(1, 5) + (width == 1000 ? 40 : 0);
      float[] x = samples.floats(3 + rows * width, 3);
      float[] weight = samples.floats(width);
      float[] bias = samples.floats(width);
      String shape = "[" + rows + ", " + width + "]";
      agree(
          "rmsNorm " + shape,
          x,
          Samples.PLAIN,
          (operations, y) -> operations.rmsNorm(x, 3, rows, weight, 1e-5f, y));
      agree(
          "layerNorm " + shape,
          x,
          Samples.PLAIN,
          (operations, y) -> operations.layerNorm(x, 3, rows, weight, bias, 1e-5f, y));
      agree(
          "softmax " + shape,
          x,
          Samples.SOFTMAX,
          (operations, y) -> operations.softmax(y, 3, rows, width));
      agree(
          "addBias " + shape,
          x,
          Samples.PLAIN,
          (operations, y) -> operations.addBias(y, rows, bias));
    }
  }

  @Test
  void elementOperationsAgree() {
    for (int length : new int[] {1, 7, 16, 33, 1000, 5000, 40_001}) {
      float[] x = samples.floats(length, 4);
      float[] y = samples.floats(length);
      agree(
          "swiGlu " + length, x, Samples.PLAIN, (operations, z) -> operations.swiGlu(z, y, length));
      agree("gelu " + length, x, Samples.PLAIN, (operations, z) -> operations.gelu(z, length));
      agree("relu " + length, x, 0, (operations, z) -> operations.relu(z, length));
      agree("add " + length, x, 0, (operations, z) -> operations.add(z, y, length));
    }
    float[] far = {-1000, -100, -0f, 0, 100, 1000, Float.NaN};
    float[] ones = {1, 1, 1, 1, 1, 1, 1};
    try (TensorOperations vector = new VectorOperations(1)) {
      vector.swiGlu(far, ones, far.length);
    }
    assertArrayEquals(new float[] {-0f, -0f, -0f, 0, 100, 1000, Float.NaN}, far);
  }

  @Test
  void ropeAgrees() {
    for (int headDim = 16; headDim <= 128; headDim += 16) {
      int dim = headDim;
      RotaryEmbedding plain =
          new RotaryEmbedding(new RopeConfig(10_000, Optional.empty()), dim, 500);
      int[][] order = new int[2][dim / 2];
      for (int i = 0; i < dim / 2; i++) {
        order[0][i] = dim / 2 - 1 - i;
        order[1][i] = i ^ 1;
      }
      int[] positions = {0, 499, 3, 77};
      float[] x = samples.floats(4 * 6 * dim);
      for (RotaryEmbedding rope : List.of(plain, plain.withOrder(order))) {
        agree(
            "rope " + dim,
            x,
            Samples.PLAIN,
            (operations, y) -> operations.rope(y, 4, 6, rope, positions));
      }
    }
  }

  @Test
  void exponentialIsExact() {
    float[] x = new float[Lanes.COUNT];
    for (int i = 0; i < 20_000; i++) {
      for (int lane = 0; lane < x.length; lane++) {
        x[lane] = -87 + 175 * samples.random().nextFloat();
      }
      float[] e = x.clone();
      VectorMath.exp(e, 0, e.length);
      for (int lane = 0; lane < x.length; lane += 3) {
        double expected = Math.exp(x[lane]);
        assertEquals(expected, e[lane], 2.5e-7 * expected, x[lane] + ", " + Samples.seed());
      }
    }
    float[][] ends = {
      {Float.NEGATIVE_INFINITY, 0},
      {-1e30f, 0},
      {-103, (float) Math.exp(-103)},
      {0, 1},
      {88.7f, (float) Math.exp(88.7f)},
      {89, Float.POSITIVE_INFINITY},
      {Float.POSITIVE_INFINITY, Float.POSITIVE_INFINITY},
      {Float.NaN, Float.NaN}
    };
    for (float[] end : ends) {
      Arrays.fill(x, end[0]);
      VectorMath.exp(x, 0, x.length);
      float ulp = Float.isFinite(end[1]) ? Math.ulp(end[1]) : 1;
      assertEquals(end[1], x[Lanes.COUNT - 1], 4 * ulp, "exp " + end[0]);
    }
  }

  @Test
  void quantizingIsExact() {
    for (int bits : new int[] {4, 6, 8}) {
      for (int width : WIDTHS) {
        int tokens = 11;
        float[] x = rowsOfEveryKind(tokens, width, bits);
        float[] scales = samples.floats(width / 32 + 1);
        int[] zeros = new int[scales.length];
        for (int i = 0; i < scales.length; i++) {
          scales[i] = Math.abs(scales[i]) + 0.01f;
          zeros[i] = samples.random().nextInt(1 << bits);
        }
        String what = bits + " bits, width " + width;
        for (int threads = 1; threads <= 2; threads++) {
          try (TensorOperations vector = new VectorOperations(threads)) {
            TensorOperations scalar = new ScalarOperations();
            for (boolean symmetric : new boolean[] {false, true}) {
              QuantizedActivations a = new QuantizedActivations(bits, symmetric, 12, width, 32);
              QuantizedActivations b = new QuantizedActivations(bits, symmetric, 12, width, 32);
              scalar.quantize(x, 2, tokens, a);
              vector.quantize(x, 2, tokens, b);
              assertSame(a, b, what);
              for (int fixed : new int[] {bits, 8}) {
                scalar.quantizeStatic(x, 2, tokens, fixed, scales, zeros, a);
                vector.quantizeStatic(x, 2, tokens, fixed, scales, zeros, b);
                assertSame(a, b, what + ", fixed scales");
              }
            }
            float[] expected = x.clone();
            float[] actual = x.clone();
            scalar.fakeQuantize(expected, 2, tokens, width, bits);
            vector.fakeQuantize(actual, 2, tokens, width, bits);
            Samples.assertBits(expected, actual, what + ", restored");
          }
        }
      }
    }
  }

  /** Plain rows, and rows of zeros, constants, ties, far values, outliers, infinity and NaN. */
  private float[] rowsOfEveryKind(int rows, int width, int bits) {
    float[] x = samples.floats(2 + rows * width);
    for (int i = 0; i < width; i++) {
      int at = 2 + i;
      x[at + width] = 0;
      x[at + 2 * width] = -3.7f;
      x[at + 3 * width] = samples.random().nextInt(2 * ((1 << bits) - 1)) * 0.5f;
      x[at + 4 * width] = 1e5f + i % 3 * 0.01f;
      x[at + 5 * width] = -1e9f;
      x[at + 6 * width] *= i == width / 2 ? 1e7f : 1;
      x[at + 7 * width] = i == width / 3 ? Float.POSITIVE_INFINITY : x[at];
      x[at + 8 * width] = i == width / 3 ? Float.NaN : x[at];
      x[at + 9 * width] *= 1e-7f;
      // All but ties: dividing and multiplying by the reciprocal part ways here.
      x[at + 10 * width] = (samples.random().nextInt((1 << bits) - 1) + 0.5f) * 0.0437f;
    }
    x[2 + 3 * width] = 0;
    x[2 + 10 * width] = 0;
    x[2 + 11 * width - 1] = ((1 << bits) - 1) * 0.0437f;
    x[2 + 4 * width - 1] = (1 << bits) - 1;
    return x;
  }

  private static void assertSame(QuantizedActivations a, QuantizedActivations b, String what) {
    assertArrayEquals(a.scales, b.scales, what);
    assertArrayEquals(a.zeros, b.zeros, what);
    assertArrayEquals(a.codes, b.codes, what);
    assertArrayEquals(a.sums, b.sums, what);
    assertEquals(a.tokens(), b.tokens());
  }

  @Test
  void rowsTogetherAreRowsAlone() {
    try (TensorOperations one = new VectorOperations(1);
        TensorOperations three = new VectorOperations(3)) {
      int width = 129;
      int rows = 150;
      float[] x = samples.floats(rows * width);
      float[] weight = samples.floats(width);
      float[] together = new float[x.length];
      float[] alone = new float[x.length];
      three.rmsNorm(x, 0, rows, weight, 1e-6f, together);
      for (int r = 0; r < rows; r++) {
        one.rmsNorm(x, r * width, 1, weight, 1e-6f, alone);
      }
      Samples.assertBits(alone, together, "rmsNorm");
      three.swiGlu(together, x, together.length);
      for (int r = 0; r < rows; r++) {
        float[] gate = Arrays.copyOfRange(alone, r * width, (r + 1) * width);
        one.swiGlu(gate, Arrays.copyOfRange(x, r * width, (r + 1) * width), width);
        System.arraycopy(gate, 0, alone, r * width, width);
      }
      Samples.assertBits(alone, together, "swiGlu");
    }
  }
}
