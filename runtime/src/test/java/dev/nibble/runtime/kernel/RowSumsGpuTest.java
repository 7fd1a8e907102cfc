package dev.nibble.runtime.kernel;

import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Element;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** row_sums; rows of padding have sums of 0. */
@KernelTest
class RowSumsGpuTest {
  private static final double LIMIT = 1e-10;
  private static final int[][] SHAPES = {{1, 7}, {33, 129}, {64, 512}, {65, 641}, {129, 1087}};

  private static GpuFixture gpu;
  private static RowSums sums;

  @BeforeAll
  static void open() {
    gpu = GpuFixture.open(RowSumsGpuTest.class);
    sums = new RowSums(gpu.kernels());
  }

  @AfterAll
  static void close() {
    gpu.close();
  }

  @ParameterizedTest
  @MethodSource("dev.nibble.runtime.kernel.TestWeights#packedForms")
  void sumsOfRows(String form) {
    Random random = GpuFixture.random();
    for (int[] shape : SHAPES) {
      TestWeights weights = TestWeights.packed(gpu, random, form, shape[0], shape[1]);
      int padded = weights.packed().layout().paddedRows();
      DeviceRange found = gpu.room((long) Float.BYTES * padded);
      sums.launch(gpu.stream(), weights.packed(), found);
      float[] expected = Arrays.copyOf(weights.rowSums(), padded);
      gpu.expect(LIMIT, expected, Element.FLOAT, found, form + " " + Arrays.toString(shape));
      weights.free(gpu);
    }
  }
}
