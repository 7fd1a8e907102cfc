package dev.nibble.runtime.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.nibble.quantizer.format.DType;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Element;
import dev.nibble.runtime.kernel.PackedGemv.Part;
import dev.nibble.runtime.kernel.PackedGemv.Result;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** dense_gemv and gemm with weights of 16 bits. */
@KernelTest
class DenseProductGpuTest {
  private static final double LIMIT = 1e-6;
  private static final float EPSILON = 1e-5f;
  private static final int[][] SHAPES = {
    {5, 7}, {33, 129}, {64, 512}, {65, 641}, {129, 1087}, {40, 4099}
  };
  private static final int[][] TRACED_SHAPES = {{33, 129}, {65, 641}};
  private static final int[] FEW = {1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 64};
  private static final int[] TRACED_FEW = {1, 8, 9, 17, 33};
  private static final int[] MANY = {1, 2, 3, 8, 15, 16, 17, 64, 65, 127, 129};
  private static final int[] TRACED_MANY = {65};

  /** Longer than 8 tokens in shared memory may be. */
  private static final int LONG = 14_337;

  /** So many rows that the multiprocessors of an H200 take 128 of them each. */
  private static final int WIDE = 16_905;

  private static GpuFixture gpu;
  private static DenseGemv gemv;
  private static LargeGemm gemm;
  private static GemmEpilogues products;
  private static InputTiler tiler;

  @BeforeAll
  static void open() {
    gpu = GpuFixture.open(DenseProductGpuTest.class);
    gemv = new DenseGemv(gpu.kernels());
    gemm = new LargeGemm(gpu.kernels());
    products = new GemmEpilogues(gpu, gemm, LIMIT);
    tiler = new InputTiler(gpu.kernels());
  }

  @AfterAll
  static void close() {
    gpu.close();
  }

  private static int[] few() {
    return gpu.isTraced() ? TRACED_FEW : FEW;
  }

  @ParameterizedTest
  @EnumSource(names = {"F16", "BF16"})
  void fewTokens(DType dtype) {
    for (int[] shape : gpu.isTraced() ? TRACED_SHAPES : SHAPES) {
      fewTokens(dtype, shape[0], shape[1], few());
    }
    fewTokens(dtype, 17, LONG, new int[] {8});
  }

  @ParameterizedTest
  @EnumSource(names = {"F16", "BF16"})
  void fewTokensOfManyRows(DType dtype) {
    fewTokens(dtype, WIDE, 65, gpu.isTraced() ? new int[] {33} : new int[] {1, 33, 63, 64});
  }

  private static void fewTokens(DType dtype, int rows, int columns, int[] counts) {
    Random random = GpuFixture.random();
    TestWeights weights = TestWeights.dense(gpu, random, dtype, rows, columns);
    float[] x = GpuFixture.halfGaussian(random, counts[counts.length - 1] * columns);
    float[] y = weights.product(x);
    MatrixRows input = gpu.halfRows(x, columns);
    byte[] first = null;
    for (int tokens : counts) {
      MatrixRows out = gpu.rows(Element.FLOAT, tokens, rows);
      gemv.multiply(
          gpu.stream(),
          weights.dense(),
          input,
          null,
          tokens,
          List.of(new Part(rows, null, null, out)),
          Result.STORE_FLOAT);
      String what = dtype + " [" + rows + ", " + columns + "], tokens " + tokens;
      gpu.expect(LIMIT, Arrays.copyOf(y, tokens * rows), Element.FLOAT, out, rows, what);
      byte[] bits = Arrays.copyOf(bytes(out), Float.BYTES * rows);
      assertArrayEquals(first == null ? bits : first, bits, "first token's sums, " + what);
      first = bits;
    }
    weights.free(gpu);
  }

  /** The norm within a product gives the bits of the norm's own kernel. */
  @ParameterizedTest
  @ValueSource(ints = {7, 129, 4099, 9000})
  void normedTokens(int columns) {
    if (gpu.isTraced()) {
      return;
    }
    Random random = GpuFixture.random();
    int rows = 33;
    TestWeights weights = TestWeights.dense(gpu, random, DType.F16, rows, columns);
    DeviceRange norm = gpu.floats(GpuFixture.gaussian(random, columns, 1));
    for (int tokens = 1; tokens <= 2; tokens++) {
      MatrixRows x = gpu.floatRows(GpuFixture.gaussian(random, tokens * columns, 3), columns);
      MatrixRows halves = gpu.rows(Element.HALF, tokens, columns);
      new NormQuantizer(gpu.kernels(), columns)
          .launch(
              gpu.stream(),
              new NormQuantizer.Weights(NormQuantizer.Kind.RMS, columns, EPSILON, norm, null, null),
              x,
              0,
              tokens,
              halves,
              null,
              null);
      MatrixRows apart = gpu.rows(Element.FLOAT, tokens, rows);
      MatrixRows within = gpu.rows(Element.FLOAT, tokens, rows);
      multiply(weights, halves, null, tokens, apart);
      multiply(weights, x, new PackedGemv.Norm(norm, null, EPSILON), tokens, within);
      assertArrayEquals(bytes(apart), bytes(within), columns + " columns" + GpuFixture.seed());
    }
    weights.free(gpu);
  }

  private static void multiply(
      TestWeights weights, MatrixRows x, PackedGemv.@Nullable Norm norm, int tokens, MatrixRows y) {
    List<Part> parts = List.of(new Part(weights.dense().rows(), null, null, y));
    gemv.multiply(gpu.stream(), weights.dense(), x, norm, tokens, parts, Result.STORE_FLOAT);
  }

  private static byte[] bytes(MatrixRows rows) {
    return gpu.download(rows.data()).toArray(ValueLayout.JAVA_BYTE);
  }

  @ParameterizedTest
  @EnumSource(names = {"F16", "BF16"})
  void manyTokens(DType dtype) {
    Random random = GpuFixture.random();
    for (int[] shape : gpu.isTraced() ? TRACED_SHAPES : SHAPES) {
      int rows = shape[0];
      int columns = shape[1];
      TestWeights weights = TestWeights.dense(gpu, random, dtype, rows, columns);
      float[] x = GpuFixture.halfGaussian(random, MANY[MANY.length - 1] * columns);
      float[] y = weights.product(x);
      MatrixRows input = gpu.halfRows(x, columns);
      for (int tokens : gpu.isTraced() ? TRACED_MANY : MANY) {
        String what = dtype + " " + Arrays.toString(shape) + ", tokens " + tokens;
        float[] expected = Arrays.copyOf(y, tokens * rows);
        products.expect(weights, tile(input, tokens, columns), null, expected, what);
      }
      weights.free(gpu);
    }
  }

  /** So many rows and tokens that the wider tiles of an H200's kernels are the better ones. */
  @ParameterizedTest
  @CsvSource({"F16, 8440", "BF16, 8440", "F16, 15300", "BF16, 15300"})
  void wideTiles(DType dtype, int rows) {
    Random random = GpuFixture.random();
    int tokens = 250;
    int columns = 65;
    TestWeights weights = TestWeights.dense(gpu, random, dtype, rows, columns);
    float[] x = GpuFixture.halfGaussian(random, tokens * columns);
    MatrixRows y = gpu.rows(Element.FLOAT, tokens, rows);
    InputTiler.Tiled tiled = tile(gpu.halfRows(x, columns), tokens, columns);
    gemm.multiply(gpu.stream(), weights.device(), null, tiled, null, Epilogue.STORE_FLOAT, y);
    int checked = gpu.isTraced() ? 2 : tokens;
    float[] expected = weights.product(Arrays.copyOf(x, checked * columns));
    gpu.expect(LIMIT, expected, Element.FLOAT, y, rows, dtype + " of " + rows + " rows");
    weights.free(gpu);
    gpu.free(y.data());
  }

  private static InputTiler.Tiled tile(MatrixRows x, int tokens, int columns) {
    InputTiler.Kind kind = InputTiler.Kind.HALVES;
    InputTiler.Tiled tiled =
        new InputTiler.Tiled(
            kind, tokens, columns, gpu.room(InputTiler.bytes(kind, tokens, columns)));
    tiler.halves(gpu.stream(), x, tiled);
    return tiled;
  }

  @ParameterizedTest
  @EnumSource(Result.class)
  void epilogues(Result result) {
    int half = WIDE / 2;
    boolean swiglu = result == Result.SWIGLU_HALF;
    int[] wide = swiglu ? new int[] {half, half} : new int[] {half, 33, half};
    for (DType dtype : new DType[] {DType.F16, DType.BF16}) {
      for (int tokens : few()) {
        segments(dtype, TestParts.rows(result), 1000, tokens, result);
      }
      if (dtype == DType.F16 || !gpu.isTraced()) {
        segments(dtype, wide, 65, 33, result);
      }
    }
  }

  private static void segments(DType dtype, int[] rows, int columns, int tokens, Result result) {
    Random random = GpuFixture.random();
    int padded = TestParts.paddedRows(rows);
    TestWeights weights = TestWeights.dense(gpu, random, dtype, padded, columns);
    float[] x = GpuFixture.halfGaussian(random, tokens * columns);
    TestParts parts = new TestParts(gpu, random, rows, weights.product(x), result);
    MatrixRows input = gpu.halfRows(x, columns);
    gemv.multiply(gpu.stream(), weights.dense(), input, null, tokens, parts.parts(), result);
    parts.expect(LIMIT, dtype + " tokens " + tokens);
    weights.free(gpu);
  }
}
