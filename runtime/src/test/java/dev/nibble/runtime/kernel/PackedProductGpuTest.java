package dev.nibble.runtime.kernel;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.tensor.ScalarOperations;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Element;
import dev.nibble.runtime.kernel.PackedGemv.Norm;
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
import org.junit.jupiter.params.provider.MethodSource;

/** gemv, x_split with skinny, and gemm: packed weights times inputs of 16 bits. */
@KernelTest
class PackedProductGpuTest {
  private static final double LIMIT = 1e-5;
  private static final float EPSILON = 1e-5f;

  /** Rows and columns: one, groups and blocks and one more or less. */
  private static final int[][] SHAPES = {
    {5, 7}, {33, 129}, {64, 512}, {65, 641}, {129, 1087}, {40, 4099}
  };

  private static final int[][] TRACED_SHAPES = {{65, 1087}};
  private static final int[] FEW = {1, 2, 3, 4, 5, 8, 15, 16, 17, 33, 64};
  private static final int[] TRACED_FEW = {1, 2, 4, 5, 16, 32, 64};
  private static final int[] TRACED_EPILOGUES = {1, 3, 5, 33};
  private static final int[] MANY = {1, 2, 3, 8, 15, 16, 17, 64, 65, 127, 129};
  private static final int[] TRACED_MANY = {65};
  private static final int MOST = 129;
  private static final int WIDE_TOKENS = 250;
  private static final int WIDE_COLUMNS = 65;

  private static GpuFixture gpu;
  private static PackedGemv gemv;
  private static SkinnyGemm skinny;
  private static LargeGemm gemm;
  private static GemmEpilogues epilogues;
  private static InputTiler tiler;

  @BeforeAll
  static void open() {
    gpu = GpuFixture.open(PackedProductGpuTest.class);
    gemv = new PackedGemv(gpu.kernels());
    skinny = new SkinnyGemm(gpu.kernels());
    gemm = new LargeGemm(gpu.kernels());
    epilogues = new GemmEpilogues(gpu, gemm, LIMIT);
    tiler = new InputTiler(gpu.kernels());
  }

  @AfterAll
  static void close() {
    gpu.close();
  }

  private static Random random() {
    return GpuFixture.random();
  }

  private static int[][] shapes() {
    return gpu.isTraced() ? TRACED_SHAPES : SHAPES;
  }

  private static int[] few() {
    return gpu.isTraced() ? TRACED_FEW : FEW;
  }

  @ParameterizedTest
  @MethodSource("dev.nibble.runtime.kernel.TestWeights#packedForms")
  void fewTokens(String form) {
    Random random = random();
    for (int[] shape : shapes()) {
      TestWeights weights = TestWeights.packed(gpu, random, form, shape[0], shape[1]);
      int rows = weights.rows();
      float[] x = GpuFixture.halfGaussian(random, FEW[FEW.length - 1] * shape[1]);
      float[] y = weights.product(x);
      MatrixRows input = gpu.halfRows(x, shape[1]);
      for (int tokens : few()) {
        MatrixRows out = gpu.rows(Element.FLOAT, tokens, rows);
        String what = form + " " + Arrays.toString(shape) + ", tokens " + tokens;
        List<Part> parts = List.of(new Part(rows, null, null, out));
        multiply(weights.packed(), input, null, tokens, parts, Result.STORE_FLOAT);
        gpu.expect(LIMIT, Arrays.copyOf(y, tokens * rows), Element.FLOAT, out, rows, what);
        gpu.free(out.data());
      }
      weights.free(gpu);
    }
  }

  @ParameterizedTest
  @MethodSource("dev.nibble.runtime.kernel.TestWeights#packedForms")
  void manyTokens(String form) {
    Random random = random();
    for (int[] shape : shapes()) {
      TestWeights weights = TestWeights.packed(gpu, random, form, shape[0], shape[1]);
      int rows = weights.rows();
      float[] x = GpuFixture.halfGaussian(random, MOST * shape[1]);
      float[] y = weights.product(x);
      MatrixRows input = gpu.halfRows(x, shape[1]);
      for (int tokens : gpu.isTraced() ? TRACED_MANY : MANY) {
        InputTiler.Tiled tiled = tile(input, tokens, shape[1]);
        String what = form + " " + Arrays.toString(shape) + ", tokens " + tokens;
        epilogues.expect(weights, tiled, null, Arrays.copyOf(y, tokens * rows), what);
        gpu.free(tiled.data());
      }
      weights.free(gpu);
    }
  }

  /** So many rows and tokens that the wider tiles of an H200's kernels are the better ones. */
  @ParameterizedTest
  @CsvSource({
    "W2A16g64, 8440",
    "W3A16g128sym, 8440",
    "W4A16g32, 8440",
    "W6A16, 8440",
    "W8A16g128, 8440",
    "W2A16, 15300",
    "W3A16g64, 15300",
    "W4A16g128, 15300",
    "W6A16g32, 15300",
    "W8A16sym, 15300"
  })
  void wideTiles(String form, int rows) {
    Random random = random();
    TestWeights weights = TestWeights.packed(gpu, random, form, rows, WIDE_COLUMNS);
    float[] x = GpuFixture.halfGaussian(random, WIDE_TOKENS * WIDE_COLUMNS);
    InputTiler.Tiled tiled = tile(gpu.halfRows(x, WIDE_COLUMNS), WIDE_TOKENS, WIDE_COLUMNS);
    MatrixRows y = gpu.rows(Element.FLOAT, WIDE_TOKENS, rows);
    gemm.multiply(gpu.stream(), weights.device(), null, tiled, null, Epilogue.STORE_FLOAT, y);
    int checked = gpu.isTraced() ? 2 : WIDE_TOKENS;
    float[] expected = weights.product(Arrays.copyOf(x, checked * WIDE_COLUMNS));
    gpu.expect(LIMIT, expected, Element.FLOAT, y, rows, form + " of " + rows + " rows");
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

  /** Queries, keys, values or gate and up, with all that an epilogue and a norm may do. */
  @ParameterizedTest
  @EnumSource(Result.class)
  void epilogues(Result result) {
    for (String form : List.of("W2A16g64", "W3A16", "W4A16g128sym", "W6A16g32", "W8A16g128")) {
      for (int tokens : gpu.isTraced() ? TRACED_EPILOGUES : FEW) {
        for (boolean normed : new boolean[] {false, true}) {
          segments(form, 1000, tokens, normed, result);
        }
      }
    }
  }

  private static void segments(
      String form, int columns, int tokens, boolean normed, Result result) {
    Random random = random();
    int[] rows = TestParts.rows(result);
    int padded = TestParts.paddedRows(rows);
    TestWeights weights = TestWeights.packed(gpu, random, form, padded, columns);
    float[] x = GpuFixture.halfGaussian(random, tokens * columns);
    float[] read = x;
    Norm norm = null;
    if (normed) {
      float[] weight = GpuFixture.gaussian(random, columns, 1);
      short[] order = Permutation.of(random, columns);
      read = normed(x, columns, weight, order);
      norm = new Norm(gpu.floats(weight), gpu.shorts(order), EPSILON);
    }
    TestParts parts = new TestParts(gpu, random, rows, weights.product(read), result);
    MatrixRows input = normed ? gpu.floatRows(x, columns) : gpu.halfRows(x, columns);
    multiply(weights.packed(), input, norm, tokens, parts.parts(), result);
    parts.expect(LIMIT, form + " tokens " + tokens + (normed ? " normed" : ""));
    weights.free(gpu);
  }

  private static float[] normed(float[] x, int columns, float[] weight, short[] order) {
    float[] y = new float[x.length];
    try (ScalarOperations oracle = new ScalarOperations()) {
      oracle.rmsNorm(x, 0, x.length / columns, weight, EPSILON, y);
    }
    return Permutation.columns(y, order);
  }

  /** By the kernel that the engine takes for so many tokens. */
  private static void multiply(
      DeviceWeights.Packed weights,
      MatrixRows x,
      @Nullable Norm norm,
      int tokens,
      List<Part> parts,
      Result result) {
    PackedLayout layout = weights.layout();
    if (tokens <= PackedGemv.MAX_TOKENS) {
      assertTrue(gemv.takes(weights, tokens, result));
      gemv.multiply(gpu.stream(), weights, x, norm, tokens, parts, result);
      return;
    }
    SkinnyGemm.Split split =
        new SkinnyGemm.Split(
            gpu.room(SkinnyGemm.partBytes(tokens, layout.columns())),
            gpu.room(SkinnyGemm.runBytes(tokens, layout.columns())),
            gpu.room((long) Float.BYTES * tokens));
    DeviceRange sums = gpu.zeros(SkinnyGemm.chainBytes(tokens, layout.paddedRows()));
    skinny.split(gpu.stream(), layout, x, norm, tokens, split);
    skinny.multiply(gpu.stream(), weights, split, sums, tokens, parts, result);
  }

  /** A token's result is the same bits in every batch. */
  @ParameterizedTest
  @MethodSource("dev.nibble.runtime.kernel.TestWeights#packedForms")
  void aTokenDoesNotDependOnItsBatch(String form) {
    if (gpu.isTraced()) {
      return;
    }
    Random random = random();
    int rows = 200;
    int columns = 1500;
    TestWeights weights = TestWeights.packed(gpu, random, form, rows, columns);
    MatrixRows input = gpu.halfRows(GpuFixture.halfGaussian(random, 64 * columns), columns);
    float[] first = null;
    for (int tokens : FEW) {
      MatrixRows out = gpu.rows(Element.FLOAT, tokens, rows);
      List<Part> parts = List.of(new Part(rows, null, null, out));
      multiply(weights.packed(), input, null, tokens, parts, Result.STORE_FLOAT);
      if (first == null) {
        first = gpu.download(out.data()).toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
      }
      gpu.expect(0, first, Element.FLOAT, new MatrixRows(out.data(), rows), rows, form);
      gpu.free(out.data());
    }
  }
}
