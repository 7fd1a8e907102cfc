package dev.nibble.quantizer.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.PackedLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The products against the scalar oracle. */
class VectorMatmulTest {
  /** Rounding of float sums; 1e-13 as a rule, more where a lone output cancels. */
  private static final double ROUNDING = 1e-9;

  private static final int[] TOKENS = {1, 2, 3, 8, 15, 16, 17, 64};

  private final Samples samples = new Samples();
  private final ScalarOperations oracle = new ScalarOperations();
  private Arena arena;
  private WorkerThreads threads;
  private WorkerThreads one;
  private VectorMatmul matmul;
  private VectorMatmul alone;
  private VectorMatmul plain;

  @BeforeEach
  void start() {
    arena = Arena.ofShared();
    threads = new WorkerThreads(3);
    one = new WorkerThreads(1);
    matmul = new VectorMatmul(threads, VectorMatmul.Kernels.VECTOR);
    alone = new VectorMatmul(one, VectorMatmul.Kernels.VECTOR);
    plain = new VectorMatmul(threads, VectorMatmul.Kernels.PLAIN);
  }

  @AfterEach
  void stop() {
    one.close();
    threads.close();
    arena.close();
  }

  @ParameterizedTest
  @ValueSource(ints = {128, 256, 512})
  void otherWidths(int bits) throws Exception {
    ChildJvm.Result result =
        ChildJvm.run(
            List.of("--add-modules=jdk.incubator.vector", "-Dnibble.vector.bits=" + bits),
            VectorMatmulTest.class);
    assertEquals(0, result.exit(), result.err());
    assertEquals("agree at " + bits, result.out().strip());
  }

  /** Checks of every kernel, for a JVM of another width. */
  public static void main(String[] arguments) {
    VectorMatmulTest test = new VectorMatmulTest();
    test.start();
    test.everyNumberOfRowsAndTokens(33);
    for (int codeBits : new int[] {2, 3, 4, 6, 8}) {
      test.everyCodeCounts(codeBits);
    }
    test.everyHalfIsConverted();
    test.subnormalAndNegativeScales();
    test.stop();
    System.out.println("agree at " + Lanes.bits());
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 6, 8})
  void packedWeightsMeetTheOracle(int bits) {
    for (int group : new int[] {0, 32, 64, 128}) {
      int unit = group == 0 ? 128 : group;
      for (int columns : new int[] {1, 7, 31, 33, unit - 1, unit, unit + 1, 2 * unit + 5, 517}) {
        for (boolean symmetric : new boolean[] {false, true}) {
          int rows = row(columns);
          WeightMatrix.Packed w =
              samples.packed(new PackedLayout(bits, rows, columns, group), symmetric);
          check(w, 1 + samples.random().nextInt(9), w.layout() + " symmetric " + symmetric);
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 6, 8})
  void integerInputsMeetTheOracle(int bits) {
    for (int group : new int[] {0, 32, 64, 128}) {
      int unit = group == 0 ? 128 : group;
      for (int activationBits : new int[] {4, 6, 8}) {
        for (int columns : new int[] {1, 7, 31, 33, unit - 1, unit + 1, 517}) {
          WeightMatrix.Packed w =
              samples.packed(new PackedLayout(bits, row(columns), columns, group), columns == 33);
          checkIntegers(w, activationBits, 1 + samples.random().nextInt(9));
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "F16", "BF16"})
  void floatWeightsMeetTheOracle(DType dtype) {
    for (int columns : new int[] {1, 7, 31, 33, 128, 1023, 1024, 1025, 2500}) {
      int rows = row(columns);
      check(dense(dtype, rows, columns), 1 + samples.random().nextInt(9), dtype + " " + columns);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 7, 31, 33, 63, 64, 65, 127, 129})
  void everyNumberOfRowsAndTokens(int rows) {
    int[] batches = rows == 65 ? TOKENS : new int[] {1, 3};
    for (int bits : new int[] {2, 3, 4, 6, 8}) {
      WeightMatrix.Packed w = samples.packed(new PackedLayout(bits, rows, 160, 64), false);
      for (int tokens : batches) {
        check(w, tokens, w.layout() + " tokens " + tokens);
        checkIntegers(w, 8, tokens);
      }
    }
    for (DType dtype : new DType[] {DType.F32, DType.F16, DType.BF16}) {
      for (int tokens : batches) {
        check(dense(dtype, rows, 100), tokens, dtype + " rows " + rows + " tokens " + tokens);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 6, 8})
  void everyCodeCounts(int bits) {
    int levels = 1 << bits;
    PackedLayout layout = new PackedLayout(bits, levels, 256, 64);
    byte[] codes = new byte[levels * 256];
    for (int i = 0; i < codes.length; i++) {
      codes[i] = (byte) ((i / 256 + i) % levels);
    }
    WeightMatrix.Packed random = samples.packed(layout, false);
    layout.pack(codes, random.qweight());
    check(random, 1, layout.toString());
    check(random, 5, layout.toString());
  }

  @Test
  void everyHalfIsConverted() {
    int columns = 1024;
    int rows = 62;
    MemorySegment data = MemorySegment.ofArray(new short[rows * columns]);
    for (int i = 0; i < rows * columns; i++) {
      int sign = i % 2 << 15;
      data.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) (sign | i / 2));
    }
    WeightMatrix w = new WeightMatrix.Dense(DType.F16, rows, columns, data);
    float[] x = new float[columns * columns];
    for (int i = 0; i < columns; i++) {
      x[i * columns + i] = 1;
    }
    float[] y = new float[columns * rows];
    matmul.multiply(x, 0, columns, matmul.prepare(w, arena), y, 0);
    for (int i = 0; i < columns; i++) {
      for (int n = 0; n < rows; n++) {
        float expected =
            Float.float16ToFloat(data.getAtIndex(ValueLayout.JAVA_SHORT, n * columns + i));
        assertEquals(expected + 0f, y[i * rows + n] + 0f);
      }
    }
  }

  @Test
  void subnormalAndNegativeScales() {
    PackedLayout layout = new PackedLayout(4, 64, 128, 64);
    WeightMatrix.Packed w = samples.packed(layout, false);
    for (int i = 0; i < layout.scaleCount(); i++) {
      short scale = (short) (i % 3 == 0 ? i : 0x8000 | 37 * i);
      w.scales().setAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, i, scale);
    }
    check(w, 3, "odd scales");
  }

  @Test
  void offsetsAreHeld() {
    WeightMatrix.Packed w = samples.packed(new PackedLayout(4, 70, 96, 32), false);
    float[] x = samples.floats(5 + 2 * 96);
    float[] y = new float[3 + 2 * 70 + 4];
    Arrays.fill(y, 7);
    float[] expected = y.clone();
    oracle.matmul(x, 5, 2, oracle.prepare(w, arena), expected, 3);
    matmul.multiply(x, 5, 2, matmul.prepare(w, arena), y, 3);
    Samples.assertClose(expected, y, ROUNDING, "offsets");
    assertEquals(7, y[2]);
    assertEquals(7, y[3 + 2 * 70]);
  }

  @Test
  void wrongOperandsAreRefused() {
    PreparedMatrix w = matmul.prepare(samples.packed(new PackedLayout(4, 8, 32, 32), false), arena);
    assertThrows(
        IndexOutOfBoundsException.class,
        () -> matmul.multiply(new float[63], 0, 2, w, new float[16], 0));
    assertThrows(
        IndexOutOfBoundsException.class,
        () -> matmul.multiply(new float[64], 0, 2, w, new float[16], 1));
    assertThrows(
        IllegalArgumentException.class,
        () -> matmul.multiply(new QuantizedActivations(8, false, 1, 33, 32), w, new float[8], 0));
    PreparedMatrix foreign = oracle.prepare(dense(DType.F32, 1, 1), arena);
    assertThrows(
        IllegalArgumentException.class,
        () -> matmul.multiply(new float[1], 0, 1, foreign, new float[1], 0));
  }

  @Test
  void preparedMemoryIsAboutThePackedMemory() {
    WeightMatrix.Packed w = samples.packed(new PackedLayout(4, 512, 1024, 128), false);
    double packed = w.layout().bitsPerWeight(false) * 512 * 1024 / 8;
    long bytes = matmul.prepare(w, arena).bytes();
    assertTrue(bytes < 1.03 * packed, () -> bytes + " bytes for " + packed);
  }

  /** Compares with the oracle, with plain loops, and each token with itself alone on one thread. */
  private void check(WeightMatrix w, int tokens, String what) {
    int columns = w.columns();
    int rows = w.rows();
    float[] x = samples.floats(tokens * columns);
    float[] expected = new float[tokens * rows];
    oracle.matmul(x, 0, tokens, oracle.prepare(w, arena), expected, 0);
    float[] actual = new float[tokens * rows];
    PreparedMatrix prepared = matmul.prepare(w, arena);
    assertEquals(rows, prepared.rows());
    assertEquals(columns, prepared.columns());
    matmul.multiply(x, 0, tokens, prepared, actual, 0);
    Samples.assertClose(expected, actual, ROUNDING, what);
    float[] plainly = new float[tokens * rows];
    plain.multiply(x, 0, tokens, prepared, plainly, 0);
    assertArrayEquals(plainly, actual, () -> what + ": plain and vector, " + Samples.seed());
    float[] single = new float[tokens * rows];
    for (int t = 0; t < tokens; t++) {
      alone.multiply(x, t * columns, 1, prepared, single, t * rows);
    }
    assertArrayEquals(single, actual, () -> what + ": alone and in a batch, " + Samples.seed());
  }

  private void checkIntegers(WeightMatrix.Packed w, int bits, int tokens) {
    int group = w.layout().groupSize() == 0 ? w.columns() : w.layout().groupSize();
    int columns = w.columns();
    int rows = w.rows();
    String what = w.layout() + " A" + bits + " tokens " + tokens;
    float[] x = samples.floats(tokens * columns);
    QuantizedActivations batch = new QuantizedActivations(bits, false, tokens, columns, group);
    oracle.quantize(x, 0, tokens, batch);
    float[] expected = new float[tokens * rows];
    oracle.matmul(batch, oracle.prepare(w, arena), expected, 0);
    float[] actual = new float[tokens * rows];
    PreparedMatrix prepared = matmul.prepare(w, arena);
    matmul.multiply(batch, prepared, actual, 0);
    Samples.assertClose(expected, actual, ROUNDING, what);
    float[] plainly = new float[tokens * rows];
    plain.multiply(batch, prepared, plainly, 0);
    assertArrayEquals(plainly, actual, () -> what + ": plain and vector, " + Samples.seed());
    float[] single = new float[tokens * rows];
    QuantizedActivations token = new QuantizedActivations(bits, false, 1, columns, group);
    for (int t = 0; t < tokens; t++) {
      oracle.quantize(x, t * columns, 1, token);
      alone.multiply(token, prepared, single, t * rows);
    }
    assertArrayEquals(single, actual, () -> what + ": alone and in a batch, " + Samples.seed());
  }

  private WeightMatrix.Dense dense(DType dtype, int rows, int columns) {
    float[] values = samples.floats(rows * columns);
    int size = dtype == DType.F32 ? Float.BYTES : Short.BYTES;
    MemorySegment data = MemorySegment.ofArray(new byte[values.length * size]);
    for (int i = 0; i < values.length; i++) {
      switch (dtype) {
        case F32 -> data.setAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, i, values[i]);
        case F16 ->
            data.setAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, i, Float.floatToFloat16(values[i]));
        default ->
            data.setAtIndex(
                ValueLayout.JAVA_SHORT_UNALIGNED,
                i,
                (short) (Float.floatToIntBits(values[i]) >> 16));
      }
    }
    return new WeightMatrix.Dense(dtype, rows, columns, data);
  }

  private int row(int columns) {
    return new int[] {1, 7, 31, 33, 63, 65, 129}[(columns + samples.random().nextInt(7)) % 7];
  }
}
