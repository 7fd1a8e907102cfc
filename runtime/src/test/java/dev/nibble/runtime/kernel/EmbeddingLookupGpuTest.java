package dev.nibble.runtime.kernel;

import dev.nibble.quantizer.format.DType;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Element;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** embedding, with and without learned positions. */
@KernelTest
class EmbeddingLookupGpuTest {
  private static final int VOCAB = 37;

  private static GpuFixture gpu;
  private static EmbeddingLookup lookup;

  @BeforeAll
  static void open() {
    gpu = GpuFixture.open(EmbeddingLookupGpuTest.class);
    lookup = new EmbeddingLookup(gpu.kernels());
  }

  @AfterAll
  static void close() {
    gpu.close();
  }

  @ParameterizedTest
  @CsvSource({
    "F32, F32, 1, 1",
    "F32, F16, 3, 7",
    "F16, F16, 17, 255",
    "F16, BF16, 64, 257",
    "BF16, BF16, 129, 1000",
    "BF16, F32, 2, 4096",
    "F16, F32, 8, 33",
    "BF16, F16, 15, 65",
    "F32, BF16, 16, 31",
    "F16, F16, 127, 129"
  })
  void rowsOfTables(DType dtype, DType learnedDtype, int rows, int columns) {
    Random random = GpuFixture.random();
    float[] table = GpuFixture.gaussian(random, VOCAB * columns, 1);
    float[] learned = GpuFixture.gaussian(random, VOCAB * columns, 1);
    int[] tokens = random.ints(rows, 0, VOCAB).toArray();
    int[] positions = random.ints(rows, 0, VOCAB).toArray();
    tokens[rows / 2] = rows > 1 ? -1 : VOCAB - 1;
    float[] plain = new float[rows * columns];
    float[] sum = new float[rows * columns];
    for (int i = 0; i < plain.length; i++) {
      int row = i / columns;
      int column = i % columns;
      if (tokens[row] >= 0) {
        plain[i] = rounded(table[tokens[row] * columns + column], dtype);
        sum[i] = plain[i] + rounded(learned[positions[row] * columns + column], learnedDtype);
      }
    }
    EmbeddingLookup.Table words = table(table, dtype, columns);
    EmbeddingLookup.Table places = table(learned, learnedDtype, columns);
    DeviceRange ids = gpu.ints(tokens);
    DeviceRange at = gpu.ints(positions);
    MatrixRows out = gpu.rows(Element.FLOAT, rows, columns);
    lookup.launch(gpu.stream(), words, null, ids, at, rows, out);
    gpu.expect(0, plain, Element.FLOAT, out, columns, dtype + " alone");
    MatrixRows both = gpu.rows(Element.FLOAT, rows, columns);
    lookup.launch(gpu.stream(), words, places, ids, at, rows, both);
    gpu.expect(0, sum, Element.FLOAT, both, columns, dtype + " and positions");
  }

  private static EmbeddingLookup.Table table(float[] values, DType dtype, int columns) {
    DeviceRange data =
        switch (dtype) {
          case F16 -> gpu.halves(values);
          case BF16 -> {
            short[] bits = new short[values.length];
            for (int i = 0; i < bits.length; i++) {
              bits[i] = (short) (Float.floatToRawIntBits(values[i]) >>> 16);
            }
            yield gpu.shorts(bits);
          }
          default -> gpu.floats(values);
        };
    return new EmbeddingLookup.Table(dtype, VOCAB, columns, data);
  }

  private static float rounded(float value, DType dtype) {
    return switch (dtype) {
      case F16 -> Float.float16ToFloat(Float.floatToFloat16(value));
      case BF16 -> Float.intBitsToFloat(Float.floatToRawIntBits(value) & 0xffff0000);
      default -> value;
    };
  }
}
