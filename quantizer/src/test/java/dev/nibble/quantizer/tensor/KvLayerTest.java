package dev.nibble.quantizer.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KvLayerTest {
  private static final int CAPACITY = 37;
  private static final int HEADS = 3;

  private final Samples samples = new Samples();

  @ParameterizedTest
  @ValueSource(ints = {32, 16, 8, 4, 3})
  void givesBackWhatTheFormatKeeps(int bits) {
    for (int headDim : new int[] {16, 48, 64, 128}) {
      KvLayer cache = new KvLayer(bits, CAPACITY, HEADS, headDim);
      float[] keys = samples.floats(CAPACITY * HEADS * headDim, 3);
      float[] values = samples.floats(keys.length);
      Arrays.fill(values, headDim, 2 * headDim, -2.5f);
      Arrays.fill(values, 2 * headDim, 3 * headDim, 0);
      // In any order, over garbage, and from an offset.
      cache.append(20, values, keys, 0, 0, 17);
      int row = HEADS * headDim;
      cache.append(20, keys, values, 20 * row, 0, 17);
      cache.append(0, keys, values, 0, 0, 1);
      cache.append(0, keys, values, 0, 1, 20);
      float[] out = new float[headDim];
      for (int p = 0; p < CAPACITY; p++) {
        for (int h = 0; h < HEADS; h++) {
          String where = bits + " bits, head " + h + ", position " + p + ", " + Samples.seed();
          int from = (p * HEADS + h) * headDim;
          cache.readKey(h, p, out);
          assertArrayEquals(kept(Arrays.copyOfRange(keys, from, from + headDim), bits), out, where);
          cache.readValue(h, p, out);
          assertArrayEquals(
              kept(Arrays.copyOfRange(values, from, from + headDim), bits), out, where);
        }
      }
    }
  }

  /** The format's definition, written out a second time. */
  private static float[] kept(float[] x, int bits) {
    float[] kept = x.clone();
    if (bits == 32) {
      return kept;
    }
    float min = Float.MAX_VALUE;
    float max = -Float.MAX_VALUE;
    for (float element : x) {
      min = Math.min(min, element);
      max = Math.max(max, element);
    }
    int levels = (1 << bits) - 1;
    float h = half(Math.clamp((max - min) / levels, 1e-5f, 1e4f));
    float z = (float) Math.rint(-min / h);
    for (int i = 0; i < x.length; i++) {
      if (bits == 16) {
        kept[i] = half(x[i]);
      } else {
        float code = Math.clamp((float) Math.rint(x[i] / h) + z, 0, levels);
        kept[i] = Math.fma(code, h, half(-z * h));
      }
    }
    return kept;
  }

  private static float half(float x) {
    return Float.float16ToFloat(Float.floatToFloat16(x));
  }

  @Test
  void costsWhatItsBitsSay() {
    int rows = 48 * 2;
    assertEquals(rows * 2L * 64 * 4, new KvLayer(32, 37, 2, 64).bytes());
    assertEquals(rows * 2L * 64 * 2, new KvLayer(16, 37, 2, 64).bytes());
    int slack = 64;
    assertEquals(rows * 2L * (64 + 4) + slack, new KvLayer(8, 37, 2, 64).bytes());
    assertEquals(rows * 2L * (32 + 4) + slack, new KvLayer(4, 37, 2, 64).bytes());
    assertEquals(rows * 2L * (24 + 4) + slack, new KvLayer(3, 37, 2, 64).bytes());
    assertEquals(rows * 2L * (20 + 4) + slack, new KvLayer(3, 37, 2, 48).bytes());
  }

  @Test
  void refusesWhatItCannotHold() {
    assertThrows(IllegalArgumentException.class, () -> new KvLayer(5, 1, 1, 16));
    assertThrows(IllegalArgumentException.class, () -> new KvLayer(16, 0, 1, 16));
    assertThrows(IllegalArgumentException.class, () -> new KvLayer(16, 1, 1, 24));
    assertThrows(ArithmeticException.class, () -> new KvLayer(16, 1 << 20, 64, 128));
    ScalarOperations operations = new ScalarOperations();
    KvLayer cache = new KvLayer(16, 3, 1, 16);
    float[] x = new float[64];
    assertThrows(IllegalArgumentException.class, () -> operations.append(cache, 2, x, x, 0, 2));
    assertThrows(IllegalArgumentException.class, () -> operations.append(cache, -1, x, x, 0, 1));
    assertThrows(
        IllegalArgumentException.class, () -> operations.attention(x, 0, 1, 1, cache, 3, 0, x));
  }
}
