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
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The oracle against formulas written out a second time and against known values. */
class ScalarOperationsTest {
  private final ScalarOperations operations = new ScalarOperations();
  private final Samples samples = new Samples();
  private final Arena arena = Arena.ofConfined();

  @AfterEach
  void close() {
    arena.close();
    operations.close();
  }

  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"F32", "F16", "BF16"})
  void multipliesFloats(DType dtype) {
    int rows = 7;
    int columns = 33;
    int tokens = 3;
    float[] weights = samples.floats(rows * columns);
    MemorySegment data = arena.allocate((long) weights.length * dtype.bytes());
    for (int i = 0; i < weights.length; i++) {
      switch (dtype) {
        case F32 -> data.setAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, i, weights[i]);
        case F16 -> {
          short half = Float.floatToFloat16(weights[i]);
          weights[i] = Float.float16ToFloat(half);
          data.setAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, i, half);
        }
        default -> {
          short half = (short) (Float.floatToIntBits(weights[i]) >>> 16);
          weights[i] = Float.intBitsToFloat(half << 16);
          data.setAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, i, half);
        }
      }
    }
    float[] x = samples.floats(2 + tokens * columns);
    float[] y = new float[1 + tokens * rows];
    PreparedMatrix w =
        operations.prepare(new WeightMatrix.Dense(dtype, rows, columns, data), arena);
    operations.matmul(x, 2, tokens, w, y, 1);
    for (int t = 0; t < tokens; t++) {
      for (int n = 0; n < rows; n++) {
        double sum = 0;
        for (int k = 0; k < columns; k++) {
          sum += (double) x[2 + t * columns + k] * weights[n * columns + k];
        }
        assertEquals((float) sum, y[1 + t * rows + n], Samples.seed());
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 6, 8})
  void multipliesPackedWeights(int bits) {
    for (int group : new int[] {0, 32, 64, 128}) {
      for (int[] shape : new int[][] {{1, 1}, {7, 31}, {33, 129}, {65, 127}, {70, 550}}) {
        PackedLayout layout = new PackedLayout(bits, shape[0], shape[1], group);
        WeightMatrix.Packed packed = samples.packed(layout, group == 64);
        PreparedMatrix w = operations.prepare(packed, arena);
        float[] x = samples.floats(2 * shape[1]);
        float[] y = new float[2 * shape[0]];
        operations.matmul(x, 0, 2, w, y, 0);
        assertProduct(packed, x, y, layout + "");

        boolean symmetric = group == 32;
        int sumGroup = group == 0 ? shape[1] : group;
        QuantizedActivations codes = new QuantizedActivations(8, symmetric, 2, shape[1], sumGroup);
        operations.quantize(x, 0, 2, codes);
        operations.matmul(codes, w, y, 0);
        assertProduct(packed, restored(codes), y, layout + " quantized inputs");
      }
    }
  }

  private void assertProduct(WeightMatrix.Packed w, float[] x, float[] y, String what) {
    int rows = w.rows();
    int columns = w.columns();
    float[] expected = new float[y.length];
    for (int i = 0; i < y.length; i++) {
      double sum = 0;
      for (int k = 0; k < columns; k++) {
        sum += x[i / rows * columns + k] * Samples.weight(w, i % rows, k);
      }
      expected[i] = (float) sum;
    }
    Samples.assertClose(expected, y, 1e-12, what);
  }

  private static float[] restored(QuantizedActivations codes) {
    float[] x = new float[codes.tokens() * codes.width()];
    for (int i = 0; i < x.length; i++) {
      int t = i / codes.width();
      x[i] = (codes.codes[i] - codes.zeros[t]) * codes.scales[t];
    }
    return x;
  }

  @Test
  void refusesWeightsOfAnotherProvider() {
    PreparedMatrix alien =
        new PreparedMatrix() {
          @Override
          public int rows() {
            return 1;
          }

          @Override
          public int columns() {
            return 1;
          }

          @Override
          public long bytes() {
            return 0;
          }
        };
    assertThrows(
        IllegalArgumentException.class,
        () -> operations.matmul(new float[1], 0, 1, alien, new float[1], 0));
  }

  @Test
  void quantizesAsTheReferenceDoes() {
    QuantizedActivations out = new QuantizedActivations(4, false, 4, 5, 3);
    float[] x = {
      -1,
      0,
      0.5f,
      2,
      6.5f, // step 0.5, zero 2
      0,
      0,
      0,
      0,
      0, // step 1e-5
      3,
      3,
      3,
      3,
      3, // step 1e-5, zero -300000
      0,
      0.25f,
      0.75f,
      1.25f,
      7.5f // step 0.5: ties go to even
    };
    operations.quantize(x, 0, 4, out);
    assertArrayEquals(new float[] {0.5f, 1e-5f, 1e-5f, 0.5f}, out.scales);
    assertArrayEquals(new float[] {2 - 8, 0 - 8, -300_000 - 8, 0 - 8}, out.zeros);
    assertArrayEquals(
        new byte[] {
          0 - 8, 2 - 8, 3 - 8, 6 - 8, 15 - 8, //
          -8, -8, -8, -8, -8, //
          -8, -8, -8, -8, -8, //
          0 - 8, 0 - 8, 2 - 8, 2 - 8, 15 - 8
        },
        out.codes);
    assertArrayEquals(new int[] {-19, 5, -24, -16, -24, -16, -22, 1}, out.sums);

    QuantizedActivations symmetric = new QuantizedActivations(4, true, 1, 4, 4);
    operations.quantize(new float[] {-7, 7, 0.5f, -1.5f}, 0, 1, symmetric);
    assertArrayEquals(new float[] {1}, symmetric.scales);
    assertArrayEquals(new float[] {0}, symmetric.zeros);
    assertArrayEquals(new byte[] {-7, 7, 0, -2}, symmetric.codes);
  }

  @Test
  void dividesByTheStep() {
    int differences = 0;
    for (int round = 0; round < 200; round++) {
      QuantizedActivations out = new QuantizedActivations(8, false, 1, 33, 33);
      float[] x = new float[33];
      float unit = 0.01f + samples.random().nextFloat();
      for (int i = 1; i < 32; i++) {
        x[i] = (samples.random().nextInt(255) + 0.5f) * unit;
      }
      x[32] = 255 * unit;
      operations.quantize(x, 0, 1, out);
      float step = x[32] / 255;
      for (int i = 0; i < 33; i++) {
        int code = (int) Math.clamp(Math.rint(x[i] / step), 0, 255);
        assertEquals(code - 128, out.codes[i], x[i] + " / " + step + ", " + Samples.seed());
        differences += code == (int) Math.rint(x[i] * (1 / step)) ? 0 : 1;
      }
    }
    assertTrue(differences > 0, "inputs that tell a quotient from a product");
  }

  @Test
  void quantizesWithFixedScales() {
    QuantizedActivations out = new QuantizedActivations(4, false, 1, 34, 32);
    float[] x = new float[34];
    x[0] = 1;
    x[1] = 100;
    x[32] = 1;
    x[33] = -100;
    operations.quantizeStatic(x, 0, 1, 4, new float[] {0.5f, 0.25f}, new int[] {3, 8}, out);
    assertEquals(5 - 8, out.codes[0]);
    assertEquals(15 - 8, out.codes[1]);
    assertEquals(3 - 8, out.codes[2]);
    assertEquals(12 - 8, out.codes[32]);
    assertEquals(-8, out.codes[33]);
    assertArrayEquals(new float[] {1}, out.scales);
    assertArrayEquals(new float[] {0}, out.zeros);
    assertArrayEquals(new int[] {-3 + 7 - 5 * 30, 4 - 8}, out.sums);
  }

  @Test
  void fakeQuantizesEachRun() {
    float[] x = {9, -1, 0, 0.4f, 2, 5, 5, 5, 5, 9};
    operations.fakeQuantize(x, 1, 2, 4, 2);
    assertArrayEquals(new float[] {9, -1, 0, 0, 2, 5, 5, 5, 5, 9}, x, 1e-6f);
  }

  @Test
  void normalizes() {
    float[] x = {9, 3, 4, 0, 5};
    float[] y = new float[5];
    operations.rmsNorm(x, 1, 2, new float[] {2, 10}, 0, y);
    float rms = (float) Math.sqrt(12.5);
    assertArrayEquals(new float[] {0, 6 / rms, 40 / rms, 0, 50 / rms}, y, 1e-5f);
    operations.layerNorm(x, 1, 1, new float[] {2, 10}, new float[] {1, -1}, 0.75f, y);
    assertArrayEquals(new float[] {0, 0, 4, 0, 50 / rms}, y, 1e-5f);
  }

  @Test
  void appliesNonLinearities() {
    float[] gate = {-1000, -1, 0, 1, 1000};
    operations.swiGlu(gate, new float[] {1, 1, 1, 2, 1}, 5);
    assertArrayEquals(new float[] {-0f, -0.26894143f, 0, 1.4621172f, 1000}, gate);
    float[] x = {-20, -1, 0, 0.5f, 2, 20};
    operations.gelu(x, 6);
    assertArrayEquals(new float[] {-0f, -0.15865526f, 0, 0.34573123f, 1.9544997f, 20}, x, 1e-7f);
    operations.relu(gate, 4);
    assertArrayEquals(new float[] {0, 0, 0, 1.4621172f, 1000}, gate);
  }

  @Test
  void erfHasItsTableValues() {
    double[][] table = {
      {0, 0},
      {0.1, 0.1124629160182849},
      {0.5, 0.5204998778130465},
      {1, 0.8427007929497149},
      {2, 0.9953222650189527},
      {3, 0.9999779095030014},
      {7, 1}
    };
    for (double[] entry : table) {
      assertEquals(entry[1], ScalarOperations.erf(entry[0]), 1e-15);
      assertEquals(-entry[1], ScalarOperations.erf(-entry[0]), 1e-15);
    }
  }

  @Test
  void softmaxOfEachRow() {
    float[] x = {9, 0, (float) Math.log(3), 1000, Float.NEGATIVE_INFINITY};
    operations.softmax(x, 1, 2, 2);
    assertArrayEquals(new float[] {9, 0.25f, 0.75f, 1, 0}, x, 1e-7f);
  }

  @Test
  void adds() {
    float[] x = {1, 2, 3, 4, 5};
    operations.add(x, new float[] {10, 20, 30, 40, 50}, 4);
    operations.addBias(x, 2, new float[] {0.5f, -0.5f});
    assertArrayEquals(new float[] {11.5f, 21.5f, 33.5f, 43.5f, 5}, x);
  }
}
