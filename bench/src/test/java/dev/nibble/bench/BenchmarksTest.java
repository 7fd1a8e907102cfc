package dev.nibble.bench;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.tensor.FloatMatrix;
import dev.nibble.quantizer.tensor.ScalarOperations;
import dev.nibble.quantizer.tensor.TensorOperations;
import java.lang.foreign.Arena;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A benchmark that computes something else measures nothing. */
class BenchmarksTest {
  private static final String PROVIDER = "nibble.ops";

  @Test
  void vectorsAreMeasured() {
    try (TensorOperations operations = TensorOperations.best(1)) {
      assertTrue(operations.name().startsWith("vector"), operations.name());
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 8})
  void gemvGivesTheProduct(int bits) {
    Gemv benchmark = new Gemv();
    benchmark.bits = bits;
    benchmark.size = 384;
    benchmark.open();
    try (TensorOperations scalar = new ScalarOperations();
        Arena arena = Arena.ofConfined()) {
      float[] expected = new float[benchmark.size];
      scalar.matmul(benchmark.x(), 0, 1, scalar.prepare(benchmark.weights(), arena), expected, 0);
      float[] actual = benchmark.multiply();
      double largest = 0;
      for (float value : expected) {
        largest = Math.max(largest, Math.abs(value));
      }
      // Sums of 384 floats in another order.
      assertArrayEquals(expected, actual, (float) (1e-5 * largest));
    } finally {
      benchmark.close();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"forward", "inputs", "weights"})
  void gemmGivesTheProduct(String product) {
    Gemm benchmark = new Gemm();
    benchmark.product = product;
    benchmark.linear = "70x90";
    benchmark.tokens = 50;
    benchmark.open();
    try {
      Gemm.Operations operations = new Gemm.Operations();
      float[] found = benchmark.nibble(operations);
      FloatMatrix a = benchmark.left();
      FloatMatrix b = benchmark.right();
      for (int r = 0; r < a.rows(); r++) {
        for (int c = 0; c < b.columns(); c++) {
          double sum = 0;
          for (int k = 0; k < a.columns(); k++) {
            sum +=
                (double) a.data()[r * a.rowStride() + k * a.columnStride()]
                    * b.data()[k * b.rowStride() + c * b.columnStride()];
          }
          assertEquals(sum, found[r * b.columns() + c], 1e-4);
        }
      }
      assertEquals(2.0 * 50 * 70 * 90, operations.flops);
    } finally {
      benchmark.close();
    }
  }

  @ParameterizedTest
  @CsvSource({"W4A16g128, 1", "W4A16g128, 4", "W4A8KV4, 2"})
  void decodeStepsChooseTheTokensOfTheScalarOperations(String scheme, int batch) {
    int[] vector = tokens(scheme, batch);
    System.setProperty(PROVIDER, "scalar");
    try {
      assertArrayEquals(tokens(scheme, batch), vector);
    } finally {
      System.clearProperty(PROVIDER);
    }
    assertEquals(batch * 4, vector.length);
  }

  private static int[] tokens(String scheme, int batch) {
    DecodeStep benchmark = new DecodeStep();
    benchmark.scheme = scheme;
    benchmark.batch = batch;
    benchmark.open();
    try {
      return IntStream.range(0, 4).flatMap(i -> IntStream.of(benchmark.step().clone())).toArray();
    } finally {
      benchmark.close();
    }
  }
}
