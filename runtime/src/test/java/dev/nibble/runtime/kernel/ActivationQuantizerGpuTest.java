package dev.nibble.runtime.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.nibble.runtime.GpuTest;
import dev.nibble.runtime.kernel.CodeRule.Range;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** act_quant against its formula, bit for bit. */
@GpuTest
class ActivationQuantizerGpuTest {
  private static final long SEED = Long.getLong("tests.seed", System.nanoTime());

  private static GpuFixture gpu;
  private static ActivationQuantizer quantizer;

  @BeforeAll
  static void open() {
    gpu = new GpuFixture();
    quantizer = new ActivationQuantizer(gpu.kernels);
  }

  @AfterAll
  static void close() {
    gpu.close();
  }

  @ParameterizedTest
  @CsvSource({
    "1, 7, 32",
    "3, 31, 32",
    "2, 33, 64",
    "17, 129, 128",
    "5, 160, 32",
    "4, 2049, 128",
    "64, 4096, 128",
    "3, 4097, 0",
    "2, 11008, 0",
    "129, 127, 0"
  })
  void codesAreThoseOfTheFormula(int tokens, int columns, int group) {
    Random random = new Random(SEED);
    int stride = Math.ceilDiv(columns, 8) * 8 + 8;
    float[] x = new float[tokens * stride];
    for (int i = 0; i < x.length; i++) {
      x[i] = Float.float16ToFloat(Float.floatToFloat16((float) (3 * random.nextGaussian() + 1)));
    }
    int groupColumns = group == 0 ? columns : group;
    for (int bits : new int[] {4, 6, 8}) {
      for (Range range : List.of(Range.ASYMMETRIC, Range.SYMMETRIC)) {
        check(x, tokens, columns, stride, groupColumns, bits, range);
      }
    }
  }

  private static void check(
      float[] x, int tokens, int columns, int stride, int group, int bits, Range range) {
    int padded = Math.ceilDiv(columns, 128) * 128;
    int groups = Math.ceilDiv(columns, group);
    ActivationCodes out =
        new ActivationCodes(
            columns,
            group,
            gpu.room((long) tokens * padded),
            gpu.room(4L * tokens),
            gpu.room(4L * tokens),
            gpu.room(4L * tokens * groups));
    quantizer.quantize(
        gpu.stream,
        new MatrixRows(gpu.halves(x), stride),
        tokens,
        new CodeRule(bits, range, null, null, null),
        out);
    byte[] codes = gpu.downloadBytes(out.codes());
    float[] scales = gpu.downloadFloats(out.scales());
    float[] zeros = gpu.downloadFloats(out.zeros());
    int[] sums = gpu.downloadInts(out.sums());
    int half = 1 << (bits - 1);
    for (int t = 0; t < tokens; t++) {
      float min = Float.POSITIVE_INFINITY;
      float max = Float.NEGATIVE_INFINITY;
      for (int i = 0; i < columns; i++) {
        min = Math.min(min, x[t * stride + i]);
        max = Math.max(max, x[t * stride + i]);
      }
      float step =
          range == Range.SYMMETRIC
              ? Math.max(-min, max) / (half - 1)
              : (max - min) / (2 * half - 1);
      step = Math.clamp(step, 1e-5f, 1e4f);
      float zero = range == Range.SYMMETRIC ? half : (float) Math.rint(-min / step);
      byte[] expected = new byte[padded];
      int[] expectedSums = new int[groups];
      for (int i = 0; i < columns; i++) {
        float code = (float) Math.rint(x[t * stride + i] / step) + zero;
        expected[i] = (byte) (Math.clamp(code, 0f, 2 * half - 1f) - half);
        expectedSums[i / group] += expected[i];
      }
      String where = bits + " bits " + range + ", token " + t + ", -Dtests.seed=" + SEED;
      assertEquals(step, scales[t], where);
      assertEquals(zero - half, zeros[t], where);
      assertArrayEquals(expected, Arrays.copyOfRange(codes, t * padded, (t + 1) * padded), where);
      assertArrayEquals(
          expectedSums, Arrays.copyOfRange(sums, t * groups, (t + 1) * groups), where);
    }
  }

  @Test
  void memoryTooSmallIsRefused() {
    ActivationCodes out =
        new ActivationCodes(64, 32, gpu.room(127), gpu.room(4), gpu.room(4), gpu.room(8));
    assertThrows(
        IllegalArgumentException.class,
        () ->
            quantizer.quantize(
                gpu.stream, new MatrixRows(gpu.room(128), 64), 1, CodeRule.dynamic(8), out));
  }
}
