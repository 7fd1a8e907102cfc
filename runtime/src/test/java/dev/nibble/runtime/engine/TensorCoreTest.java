package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.nibble.runtime.engine.TensorCore.Halves;
import java.util.Random;
import org.junit.jupiter.api.Test;

class TensorCoreTest {
  private static final long SEED = 20_261_123L;

  private static float sum(float start, float[] x, float[] w) {
    Halves a = Halves.of(x, 0, x.length);
    return TensorCore.add(start, a, 0, Halves.of(w, 0, w.length), 0, x.length);
  }

  @Test
  void integersAreExact() {
    Random random = new Random(SEED);
    float[] x = new float[77];
    float[] w = new float[77];
    int expected = 5;
    for (int i = 0; i < x.length; i++) {
      x[i] = random.nextInt(-128, 128);
      w[i] = random.nextInt(-128, 128);
      expected += (int) (x[i] * w[i]);
    }
    assertEquals(expected, sum(5, x, w));
  }

  @Test
  void whatIsFarBelowTheLargestIsCut() {
    assertEquals(0x1p-25f, sum(0, new float[] {1, 0x1p-12f, -1}, new float[] {1, 0x1p-13f, 1}));
    assertEquals(0, sum(0, new float[] {1, 0x1p-13f, -1}, new float[] {1, 0x1p-13f, 1}));
    assertEquals(0, sum(-1, new float[] {1, 0x1p-13f}, new float[] {1, 0x1p-13f}));
  }

  @Test
  void sumsAreCutToFloats() {
    float[] x = {1, 0x1p-12f, 0x1p-12f};
    assertEquals(1, sum(0, x, new float[] {1, 0x1p-12f, 0x1p-13f}));
    assertEquals(-1, sum(0, x, new float[] {-1, -0x1p-12f, -0x1p-13f}));
  }

  @Test
  void sixteenAreAddedAtOnce() {
    float[] x = new float[18];
    float[] w = new float[18];
    x[0] = w[0] = 1;
    x[15] = -1;
    w[15] = 1;
    x[16] = 0x1p-14f;
    w[16] = 0x1p-14f;
    assertEquals(0x1p-28f, sum(0, x, w));
  }

  @Test
  void zerosAddNothing() {
    assertEquals(0x1p-140f, sum(0x1p-140f, new float[20], new float[20]));
    assertEquals(0, sum(0, new float[20], new float[20]));
  }
}
