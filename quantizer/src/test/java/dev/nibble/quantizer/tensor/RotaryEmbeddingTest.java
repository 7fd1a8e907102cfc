package dev.nibble.quantizer.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.nibble.quantizer.format.ModelConfig.Llama3Scaling;
import dev.nibble.quantizer.format.ModelConfig.RopeConfig;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class RotaryEmbeddingTest {
  private static final RopeConfig PLAIN = new RopeConfig(10_000, Optional.empty());
  private static final RopeConfig LLAMA3 =
      new RopeConfig(500_000, Optional.of(new Llama3Scaling(8, 1, 4, 8192)));

  private final Samples samples = new Samples();
  private final TensorOperations operations = new ScalarOperations();

  @Test
  void turnsPairsLikeComplexNumbers() {
    int headDim = 48;
    int heads = 3;
    int[] positions = {0, 1, 99};
    float[] x = samples.floats(positions.length * heads * headDim);
    float[] y = x.clone();
    operations.rope(y, 3, heads, new RotaryEmbedding(PLAIN, headDim, 100), positions);
    float[] expected = new float[x.length];
    for (int i = 0; i < x.length; i++) {
      int pair = i % (headDim / 2);
      int first = i - i % headDim + pair;
      double angle = positions[i / (heads * headDim)] * Math.pow(10_000, -2.0 * pair / headDim);
      double re = x[first];
      double im = x[first + headDim / 2];
      expected[i] =
          (float)
              (i == first
                  ? re * Math.cos(angle) - im * Math.sin(angle)
                  : re * Math.sin(angle) + im * Math.cos(angle));
    }
    Samples.assertClose(expected, y, 1e-10, "rope");
  }

  @Test
  void llama3SlowsLowFrequencies() {
    int headDim = 128;
    RotaryEmbedding plain = new RotaryEmbedding(new RopeConfig(500_000, Optional.empty()), 128, 2);
    RotaryEmbedding scaled = new RotaryEmbedding(LLAMA3, headDim, 2);
    for (int i = 0; i < 64; i++) {
      double frequency = Math.pow(500_000, -2.0 * i / headDim);
      double wavelength = 2 * Math.PI / frequency;
      double smooth = Math.clamp((8192 / wavelength - 1) / 3, 0, 1);
      double expected = frequency * (smooth + (1 - smooth) / 8);
      assertEquals(Math.sin(frequency), plain.sines()[64 + i], 1e-6 * frequency);
      assertEquals(Math.sin(expected), scaled.sines()[64 + i], 1e-6 * expected);
    }
  }

  @Test
  void pairsMayBeStoredInAnotherOrder() {
    int headDim = 16;
    int kvHeads = 2;
    int[][] order = {{7, 6, 5, 4, 3, 2, 1, 0}, {1, 0, 3, 2, 5, 4, 7, 6}};
    RotaryEmbedding rope = new RotaryEmbedding(PLAIN, headDim, 20);
    int[] positions = {13};
    for (int heads : new int[] {2, 6}) {
      float[] stored = samples.floats(heads * headDim);
      float[] natural = new float[stored.length];
      for (int i = 0; i < stored.length; i++) {
        natural[source(order, i, heads)] = stored[i];
      }
      operations.rope(stored, 1, heads, rope.withOrder(order), positions);
      operations.rope(natural, 1, heads, rope, positions);
      for (int i = 0; i < stored.length; i++) {
        assertEquals(natural[source(order, i, heads)], stored[i], Samples.seed());
      }
    }
    assertEquals(kvHeads, order.length);
  }

  /** The natural place of a stored channel. */
  private static int source(int[][] order, int i, int heads) {
    int head = i / 16;
    int pair = order[head / (heads / order.length)][i % 8];
    return head * 16 + i % 16 / 8 * 8 + pair;
  }

  @Test
  void refusesWhatItCannotTurn() {
    RotaryEmbedding rope = new RotaryEmbedding(PLAIN, 4, 3);
    assertThrows(IllegalArgumentException.class, () -> rope.withOrder(new int[][] {{0, 0}}));
    assertThrows(IllegalArgumentException.class, () -> rope.withOrder(new int[][] {{0, 2}}));
    assertThrows(IllegalArgumentException.class, () -> rope.withOrder(new int[][] {{0}}));
    assertThrows(IllegalArgumentException.class, () -> new RotaryEmbedding(PLAIN, 5, 3));
    float[] x = new float[4];
    assertThrows(
        IllegalArgumentException.class, () -> operations.rope(x, 1, 1, rope, new int[] {3}));
    assertArrayEquals(new float[4], x);
  }
}
