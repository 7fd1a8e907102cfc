package dev.nibble.runtime.kernel;

import dev.nibble.runtime.cuda.Element;
import dev.nibble.runtime.kernel.OutlierProduct.Result;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** outlier_columns: stored, and added to a product. */
@KernelTest
class OutlierProductGpuTest {
  private static final double LIMIT = 1e-6;

  /** Tokens, inputs, rows, kept columns. */
  private static final int[][] SHAPES = {
    {1, 1, 1, 1}, {3, 33, 7, 2}, {17, 129, 65, 31}, {64, 300, 33, 33}, {129, 70, 9, 65},
    {2, 31, 17, 3}, {8, 65, 33, 5}, {15, 33, 65, 7}, {16, 127, 31, 9}, {127, 40, 17, 2}
  };

  private static GpuFixture gpu;
  private static OutlierProduct product;

  @BeforeAll
  static void open() {
    gpu = GpuFixture.open(OutlierProductGpuTest.class);
    product = new OutlierProduct(gpu.kernels());
  }

  @AfterAll
  static void close() {
    gpu.close();
  }

  @ParameterizedTest
  @EnumSource(Result.class)
  void keptColumns(Result result) {
    Random random = GpuFixture.random();
    for (int[] shape : SHAPES) {
      int tokens = shape[0];
      int inputs = shape[1];
      int rows = shape[2];
      int[] columns = random.ints(0, inputs).distinct().limit(shape[3]).sorted().toArray();
      float[] x = GpuFixture.halfGaussian(random, tokens * inputs);
      float[] weights = GpuFixture.halfGaussian(random, rows * columns.length);
      float[] before = GpuFixture.halfGaussian(random, tokens * rows);
      float[] expected = new float[tokens * rows];
      for (int i = 0; i < expected.length; i++) {
        double sum = result == Result.STORE_FLOAT ? 0 : before[i];
        for (int c = 0; c < columns.length; c++) {
          sum +=
              (double) x[i / rows * inputs + columns[c]] * weights[i % rows * columns.length + c];
        }
        expected[i] = (float) sum;
      }
      MatrixRows y =
          switch (result) {
            case STORE_FLOAT -> gpu.rows(Element.FLOAT, tokens, rows);
            case ADD_FLOAT -> gpu.floatRows(before, rows);
            case ADD_HALF -> gpu.halfRows(before, rows);
          };
      product.launch(
          gpu.stream(),
          new OutlierProduct.Columns(rows, gpu.ints(columns), gpu.halves(weights)),
          gpu.halfRows(x, inputs),
          inputs,
          tokens,
          result,
          y);
      Element element = result == Result.ADD_HALF ? Element.HALF : Element.FLOAT;
      gpu.expect(LIMIT, expected, element, y, rows, result + " of " + tokens + " tokens");
    }
  }
}
