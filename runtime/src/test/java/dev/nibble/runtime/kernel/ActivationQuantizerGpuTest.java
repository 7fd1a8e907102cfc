package dev.nibble.runtime.kernel;

import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.nibble.runtime.kernel.CodeRule.Range;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** act_quant against its formula, bit for bit. */
@KernelTest
class ActivationQuantizerGpuTest {
  private static GpuFixture gpu;
  private static ActivationQuantizer quantizer;

  @BeforeAll
  static void open() {
    gpu = GpuFixture.open(ActivationQuantizerGpuTest.class);
    quantizer = new ActivationQuantizer(gpu.kernels());
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
    "129, 127, 0",
    "8, 33, 32",
    "15, 65, 0",
    "16, 31, 32",
    "127, 97, 64"
  })
  void codesAreThoseOfTheFormula(int tokens, int columns, int group) {
    Random random = GpuFixture.random();
    float[] x = GpuFixture.halfGaussian(random, tokens * columns);
    MatrixRows input = gpu.halfRows(x, columns);
    int groupColumns = group == 0 ? columns : group;
    for (int bits : new int[] {4, 6, 8}) {
      for (Range range : List.of(Range.ASYMMETRIC, Range.SYMMETRIC)) {
        TestCodes.Rule rule = TestCodes.Rule.of(random, bits, range, columns, 0);
        ActivationCodes out = TestCodes.room(gpu, tokens, columns, groupColumns);
        quantizer.quantize(gpu.stream(), input, tokens, rule.upload(gpu), out);
        TestCodes.of(x, columns, groupColumns, rule)
            .expect(gpu, 0, out, bits + " bits " + range + ", columns " + columns);
      }
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
                gpu.stream(), new MatrixRows(gpu.room(128), 64), 1, CodeRule.dynamic(8), out));
  }
}
