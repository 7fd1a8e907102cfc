package dev.nibble.runtime.kernel;

import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.tensor.QuantizedActivations;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Element;
import dev.nibble.runtime.kernel.CodeRule.Range;
import dev.nibble.runtime.kernel.PackedGemv.Part;
import dev.nibble.runtime.kernel.PackedGemv.Result;
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
import org.junit.jupiter.params.provider.ValueSource;

/** gemm and skinny with codes of activations; gemm as integers and as halves. */
@KernelTest
class CodeProductGpuTest {
  private static final double LIMIT = 1e-5;
  private static final int[][] SHAPES = {{5, 7}, {33, 129}, {64, 512}, {65, 641}, {129, 1087}};
  private static final int FINER_ROWS = 33;
  private static final int[][] TRACED_SHAPES = {{65, 1087}};
  private static final int[] TOKENS = {1, 2, 3, 8, 15, 16, 17, 64, 127, 129};
  private static final int[] TRACED_TOKENS = {3, 65};

  private static final int[] FEW = {1, 2, 3, 5, 8, 15, 16, 17, 32, 33, 64};
  private static final int[] TRACED_FEW = {3, 17, 40};

  private static GpuFixture gpu;
  private static LargeGemm gemm;
  private static GemmEpilogues epilogues;
  private static SkinnyGemm skinny;
  private static InputTiler tiler;
  private static ActivationQuantizer quantizer;

  @BeforeAll
  static void open() {
    gpu = GpuFixture.open(CodeProductGpuTest.class);
    gemm = new LargeGemm(gpu.kernels());
    epilogues = new GemmEpilogues(gpu, gemm, LIMIT);
    skinny = new SkinnyGemm(gpu.kernels());
    tiler = new InputTiler(gpu.kernels());
    quantizer = new ActivationQuantizer(gpu.kernels());
  }

  @AfterAll
  static void close() {
    gpu.close();
  }

  @ParameterizedTest
  @MethodSource("dev.nibble.runtime.kernel.TestWeights#packedForms")
  void codesTimesWeights(String form) {
    Random random = GpuFixture.random();
    for (int[] shape : gpu.isTraced() ? TRACED_SHAPES : SHAPES) {
      TestWeights weights = TestWeights.packed(gpu, random, form, shape[0], shape[1]);
      DeviceRange sums = gpu.floats(weights.rowSums());
      // The kernels are the same for all bits.
      for (int bits : shape[0] == FINER_ROWS ? new int[] {8, 6, 4} : new int[] {8}) {
        int[] counts = gpu.isTraced() ? TRACED_TOKENS : TOKENS;
        int most = counts[counts.length - 1];
        float[] x = GpuFixture.halfGaussian(random, most * shape[1]);
        int group = weights.packed().layout().groupSize();
        int groupColumns = group == 0 ? shape[1] : group;
        float[] y =
            weights.product(x, new QuantizedActivations(bits, false, most, shape[1], groupColumns));
        ActivationCodes codes = TestCodes.room(gpu, most, shape[1], groupColumns);
        TestCodes.Rule rule = TestCodes.Rule.of(random, bits, Range.ASYMMETRIC, shape[1], 0);
        MatrixRows input = gpu.halfRows(x, shape[1]);
        quantizer.quantize(gpu.stream(), input, most, rule.upload(gpu), codes);
        for (int tokens : counts) {
          String what = form + " A" + bits + " " + Arrays.toString(shape) + ", tokens " + tokens;
          for (InputTiler.Kind kind : kinds(weights)) {
            float[] expected = Arrays.copyOf(y, tokens * shape[0]);
            check(weights, codes, sums, kind, tokens, expected, what + ", " + kind);
          }
        }
        float[] ofCodes = weights.product(TestCodes.of(x, shape[1], groupColumns, rule).values());
        for (InputTiler.Kind kind : kinds(weights)) {
          String what = form + " A" + bits + " " + Arrays.toString(shape) + ", " + kind;
          InputTiler.Tiled tiled = tiled(kind, codes, most);
          epilogues.expect(weights, tiled, new LargeGemm.CodeScales(codes, sums), y, what);
          // One scale a row needs the tokens' sums.
          if (group != 0) {
            epilogues.expect(weights, tiled, null, ofCodes, what + ", folded scales");
          }
          gpu.free(tiled.data());
        }
        gpu.free(codes.codes());
        gpu.free(input.data());
      }
      weights.free(gpu);
    }
  }

  /** So many rows and tokens that the wider tiles of an H200's kernels are the better ones. */
  @ParameterizedTest
  @CsvSource({
    "W2A16, 8440",
    "W3A16, 8440",
    "W4A16, 8440",
    "W6A16sym, 8440",
    "W8A16, 8440",
    "W2A16sym, 15300",
    "W3A16, 15300",
    "W4A16, 15300",
    "W6A16, 15300",
    "W8A16, 15300",
    "W2A16g64, 8440",
    "W3A16g128, 8440",
    "W4A16g128, 8440",
    "W6A16g32, 8440",
    "W8A16g128sym, 8440"
  })
  void wideTiles(String form, int rows) {
    Random random = GpuFixture.random();
    int tokens = 250;
    int columns = 129;
    TestWeights weights = TestWeights.packed(gpu, random, form, rows, columns);
    int group = weights.packed().layout().groupSize();
    int groupColumns = group == 0 ? columns : group;
    float[] x = GpuFixture.halfGaussian(random, tokens * columns);
    ActivationCodes codes = TestCodes.room(gpu, tokens, columns, groupColumns);
    quantizer.quantize(gpu.stream(), gpu.halfRows(x, columns), tokens, CodeRule.dynamic(8), codes);
    int checked = gpu.isTraced() ? 2 : tokens;
    float[] expected =
        weights.product(
            Arrays.copyOf(x, checked * columns),
            new QuantizedActivations(8, false, checked, columns, groupColumns));
    DeviceRange sums = gpu.floats(weights.rowSums());
    check(weights, codes, sums, InputTiler.Kind.CODES, tokens, expected, form + " " + rows);
    weights.free(gpu);
  }

  /** As the engine tiles them: for int4 tensor cores where there are some. */
  @ParameterizedTest
  @ValueSource(strings = {"W4A16", "W4A16sym"})
  void fourBitsTimesFourBits(String form) {
    Random random = GpuFixture.random();
    for (int[] shape : gpu.isTraced() ? TRACED_SHAPES : SHAPES) {
      TestWeights weights = TestWeights.packed(gpu, random, form, shape[0], shape[1]);
      DeviceRange sums = gpu.floats(weights.rowSums());
      for (Range range : new Range[] {Range.ASYMMETRIC, Range.SYMMETRIC}) {
        int[] counts = gpu.isTraced() ? TRACED_TOKENS : TOKENS;
        int most = counts[counts.length - 1];
        float[] x = GpuFixture.halfGaussian(random, most * shape[1]);
        float[] y =
            weights.product(
                x, new QuantizedActivations(4, range == Range.SYMMETRIC, most, shape[1], shape[1]));
        ActivationCodes codes = TestCodes.room(gpu, most, shape[1], shape[1]);
        TestCodes.Rule rule = TestCodes.Rule.of(random, 4, range, shape[1], 0);
        quantizer.quantize(gpu.stream(), gpu.halfRows(x, shape[1]), most, rule.upload(gpu), codes);
        InputTiler.Kind kind = gemm.codeTiles(weights.device(), 4);
        for (int tokens : counts) {
          String what = form + " " + Arrays.toString(shape) + ", tokens " + tokens + ", " + kind;
          check(weights, codes, sums, kind, tokens, Arrays.copyOf(y, tokens * shape[0]), what);
        }
        LargeGemm.CodeScales scales = new LargeGemm.CodeScales(codes, sums);
        epilogues.expect(weights, tiled(kind, codes, most), scales, y, form + ", " + kind);
        gpu.free(codes.codes());
      }
      weights.free(gpu);
    }
  }

  /** The integer kernels for groups have no zeros at 8 bits. */
  private static List<InputTiler.Kind> kinds(TestWeights weights) {
    PackedLayout layout = weights.packed().layout();
    boolean halvesOnly =
        layout.bits() == 8 && layout.groupSize() != 0 && weights.packed().zeros() != null;
    return halvesOnly
        ? List.of(InputTiler.Kind.CODES_TO_HALVES)
        : List.of(InputTiler.Kind.CODES_TO_HALVES, InputTiler.Kind.CODES);
  }

  @ParameterizedTest
  @MethodSource("dev.nibble.runtime.kernel.TestWeights#packedForms")
  void codesOfFewTokens(String form) {
    Random random = GpuFixture.random();
    int[] counts = gpu.isTraced() ? TRACED_FEW : FEW;
    int most = counts[counts.length - 1];
    for (int[] shape : gpu.isTraced() ? TRACED_SHAPES : SHAPES) {
      int columns = shape[1];
      TestWeights weights = TestWeights.packed(gpu, random, form, shape[0], columns);
      PackedLayout layout = weights.packed().layout();
      int groupColumns = layout.groupSize() == 0 ? columns : layout.groupSize();
      DeviceRange sums = gpu.floats(Arrays.copyOf(weights.rowSums(), layout.paddedRows()));
      float[] x = GpuFixture.halfGaussian(random, most * columns);
      TestCodes.Rule rule = TestCodes.Rule.of(random, 8, Range.ASYMMETRIC, columns, 0);
      float[] folded = weights.product(TestCodes.of(x, columns, groupColumns, rule).values());
      float[] y =
          weights.product(x, new QuantizedActivations(8, false, most, columns, groupColumns));
      ActivationCodes codes = TestCodes.room(gpu, most, columns, groupColumns);
      quantizer.quantize(gpu.stream(), gpu.halfRows(x, columns), most, rule.upload(gpu), codes);
      for (int tokens : counts) {
        String what = form + " " + Arrays.toString(shape) + ", tokens " + tokens;
        float[] expected = Arrays.copyOf(y, tokens * shape[0]);
        checkFew(weights, codes, sums, tokens, expected, what);
        float[] ofFolded = Arrays.copyOf(folded, tokens * shape[0]);
        checkFew(weights, codes, null, tokens, ofFolded, what + ", folded scales");
      }
      weights.free(gpu);
    }
  }

  /** The kernels are the same for all of these. */
  @ParameterizedTest
  @CsvSource({"W4A16, 6", "W2A16g32sym, 4", "W3A16g64, 6", "W6A16sym, 4", "W8A16g128, 8"})
  void codesOfFewTokensAndBits(String form, int bits) {
    Random random = GpuFixture.random();
    int tokens = 19;
    int columns = 129;
    TestWeights weights = TestWeights.packed(gpu, random, form, 33, columns);
    PackedLayout layout = weights.packed().layout();
    int groupColumns = layout.groupSize() == 0 ? columns : layout.groupSize();
    DeviceRange sums = gpu.floats(Arrays.copyOf(weights.rowSums(), layout.paddedRows()));
    float[] x = GpuFixture.halfGaussian(random, tokens * columns);
    for (Range range : new Range[] {Range.ASYMMETRIC, Range.SYMMETRIC}) {
      boolean symmetric = range == Range.SYMMETRIC;
      float[] y =
          weights.product(
              x, new QuantizedActivations(bits, symmetric, tokens, columns, groupColumns));
      ActivationCodes codes = codes(x, columns, groupColumns, bits, range);
      checkFew(weights, codes, sums, tokens, y, form + " A" + bits + " " + range);
    }
    weights.free(gpu);
  }

  private static ActivationCodes codes(
      float[] x, int columns, int groupColumns, int bits, Range range) {
    int tokens = x.length / columns;
    ActivationCodes codes = TestCodes.room(gpu, tokens, columns, groupColumns);
    CodeRule rule = TestCodes.Rule.of(GpuFixture.random(), bits, range, columns, 0).upload(gpu);
    quantizer.quantize(gpu.stream(), gpu.halfRows(x, columns), tokens, rule, codes);
    return codes;
  }

  /** Queries, keys, values or gate and up, with all that an epilogue may do. */
  @ParameterizedTest
  @EnumSource(Result.class)
  void epiloguesOfFewTokens(Result result) {
    Random random = GpuFixture.random();
    int columns = 1000;
    int[] rows = TestParts.rows(result);
    int padded = TestParts.paddedRows(rows);
    for (String form : List.of("W2A16g64", "W3A16", "W4A16g128sym", "W6A16g32", "W8A16sym")) {
      TestWeights weights = TestWeights.packed(gpu, random, form, padded, columns);
      int group = weights.packed().layout().groupSize();
      int groupColumns = group == 0 ? columns : group;
      DeviceRange sums = gpu.floats(weights.rowSums());
      for (int tokens : gpu.isTraced() ? TRACED_FEW : FEW) {
        float[] x = GpuFixture.halfGaussian(random, tokens * columns);
        float[] y =
            weights.product(x, new QuantizedActivations(8, false, tokens, columns, groupColumns));
        TestParts parts = new TestParts(gpu, random, rows, y, result);
        ActivationCodes codes = codes(x, columns, groupColumns, 8, Range.ASYMMETRIC);
        multiplyFew(weights, codes, sums, tokens, parts.parts(), result);
        parts.expect(LIMIT, form + " tokens " + tokens);
      }
      weights.free(gpu);
    }
  }

  private static void checkFew(
      TestWeights weights,
      ActivationCodes codes,
      @Nullable DeviceRange sums,
      int tokens,
      float[] expected,
      String what) {
    int rows = weights.rows();
    MatrixRows y = gpu.rows(Element.FLOAT, tokens, rows);
    List<Part> parts = List.of(new Part(rows, null, null, y));
    multiplyFew(weights, codes, sums, tokens, parts, Result.STORE_FLOAT);
    gpu.expect(LIMIT, expected, Element.FLOAT, y, rows, what);
  }

  private static void multiplyFew(
      TestWeights weights,
      ActivationCodes codes,
      @Nullable DeviceRange sums,
      int tokens,
      List<Part> parts,
      Result result) {
    int padded = weights.packed().layout().paddedRows();
    DeviceRange chains = gpu.zeros(SkinnyGemm.chainBytes(tokens, padded));
    skinny.multiply(
        gpu.stream(),
        weights.packed(),
        tiled(InputTiler.Kind.CODES, codes, tokens),
        codes,
        sums,
        chains,
        parts,
        result);
  }

  private static InputTiler.Tiled tiled(InputTiler.Kind kind, ActivationCodes codes, int tokens) {
    int columns = codes.columns();
    InputTiler.Tiled tiled =
        new InputTiler.Tiled(
            kind, tokens, columns, gpu.room(InputTiler.bytes(kind, tokens, columns)));
    tiler.codes(gpu.stream(), codes, tiled);
    return tiled;
  }

  private static void check(
      TestWeights weights,
      ActivationCodes codes,
      DeviceRange sums,
      InputTiler.Kind kind,
      int tokens,
      float[] expected,
      String what) {
    int rows = weights.rows();
    InputTiler.Tiled tiled = tiled(kind, codes, tokens);
    MatrixRows y = gpu.rows(Element.FLOAT, tokens, rows);
    gemm.multiply(
        gpu.stream(),
        weights.device(),
        null,
        tiled,
        new LargeGemm.CodeScales(codes, sums),
        Epilogue.STORE_FLOAT,
        y);
    gpu.expect(LIMIT, expected, Element.FLOAT, y, rows, what);
    gpu.free(tiled.data());
    gpu.free(y.data());
  }
}
