package dev.nibble.quantizer.tensor;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * Attention by vectors against the scalar one, and against itself with other threads and batches.
 * {@link VectorOperationsTest#otherWidths} repeats it at narrower widths.
 */
class VectorAttentionTest {
  private final Samples samples = new Samples();

  /** A cache of some tokens, with garbage everywhere else, and queries for the last of them. */
  private static final class Scene {
    final KvLayer cache;
    final float[] q;
    final int tokens;
    final int heads;
    final int position;
    final int window;

    Scene(KvLayer cache, float[] q, int tokens, int heads, int position, int window) {
      this.cache = cache;
      this.q = q;
      this.tokens = tokens;
      this.heads = heads;
      this.position = position;
      this.window = window;
    }

    @Override
    public String toString() {
      return "KV%d, %d heads over %d of %d, %d tokens at %d, window %d"
          .formatted(
              cache.bits(), heads, cache.kvHeads(), cache.headDim(), tokens, position, window);
    }

    float[] attend(TensorOperations operations) {
      float[] out = new float[q.length];
      operations.attention(q, 0, tokens, heads, cache, position, window, out);
      return out;
    }

    /** The same queries one call after another. */
    float[] attendOneByOne(TensorOperations operations) {
      float[] out = new float[q.length];
      int row = heads * cache.headDim();
      for (int t = 0; t < tokens; t++) {
        operations.attention(q, t * row, 1, heads, cache, position + t, window, out);
      }
      return out;
    }
  }

  private Scene scene(int bits, int headDim, int kvHeads, int group, int tokens) {
    int position = samples.between(0, 90);
    int length = position + tokens;
    int window = samples.random().nextBoolean() ? 0 : samples.between(1, length + 5);
    KvLayer cache = new KvLayer(bits, length + samples.between(0, 40), kvHeads, headDim);
    fill(cache, Float.NaN);
    float[] keys = samples.floats(length * kvHeads * headDim);
    float[] values = samples.floats(keys.length);
    int split = samples.between(0, length);
    new ScalarOperations().append(cache, 0, keys, values, 0, split);
    int rest = split * kvHeads * headDim;
    new ScalarOperations().append(cache, split, keys, values, rest, length - split);
    float[] q = samples.floats(tokens * kvHeads * group * headDim, 2);
    return new Scene(cache, q, tokens, kvHeads * group, position, window);
  }

  private static void fill(KvLayer cache, float garbage) {
    Arrays.fill(cache.keyFloats, garbage);
    Arrays.fill(cache.valueFloats, garbage);
    for (short[] halves :
        List.of(
            cache.keyHalves,
            cache.valueHalves,
            cache.keySteps,
            cache.keyMinimums,
            cache.valueSteps,
            cache.valueMinimums)) {
      Arrays.fill(halves, Float.floatToFloat16(garbage));
    }
    Arrays.fill(cache.keyWords, Float.floatToIntBits(garbage));
    Arrays.fill(cache.valueWords, Float.floatToIntBits(garbage));
  }

  private List<Scene> scenes(int bits) {
    return List.of(
        scene(bits, 16, 3, 1, 1),
        scene(bits, 32, 2, 4, 1),
        scene(bits, 48, 1, 3, 5),
        scene(bits, 64, 2, 2, 33),
        scene(bits, 80, 1, 8, 3),
        scene(bits, 96, 2, 1, 40),
        scene(bits, 112, 1, 20, 2),
        scene(bits, 128, 2, 4, 17),
        scene(bits, 64, 1, 1, 70));
  }

  @Test
  void attentionAgrees() {
    try (TensorOperations vector = new VectorOperations(2)) {
      for (int bits : new int[] {32, 16, 8, 4, 3}) {
        for (Scene scene : scenes(bits)) {
          float[] expected = scene.attend(new ScalarOperations());
          Samples.assertClose(expected, scene.attend(vector), Samples.ATTENTION, scene.toString());
        }
      }
    }
  }

  @Test
  void threadsAndBatchesChangeNoBit() {
    try (TensorOperations one = new VectorOperations(1);
        TensorOperations three = new VectorOperations(3)) {
      for (int bits : new int[] {32, 16, 8, 4, 3}) {
        for (Scene scene : scenes(bits)) {
          float[] expected = scene.attendOneByOne(one);
          Samples.assertBits(expected, scene.attend(one), scene.toString());
          Samples.assertBits(expected, scene.attend(three), scene.toString());
        }
      }
    }
  }

  @Test
  void unusedCapacityIsNeverRead() {
    try (TensorOperations vector = new VectorOperations(2)) {
      for (int bits : new int[] {32, 16, 8, 4, 3}) {
        for (float garbage : new float[] {0, 1e4f, Float.NEGATIVE_INFINITY}) {
          long seed = samples.random().nextLong();
          samples.random().setSeed(seed);
          Scene clean = scene(bits, 64, 2, 3, 9);
          samples.random().setSeed(seed);
          Scene poisoned = scene(bits, 64, 2, 3, 9);
          float[] expected = clean.attend(vector);
          poison(poisoned, garbage);
          Samples.assertBits(expected, poisoned.attend(vector), poisoned + " with " + garbage);
          for (float element : expected) {
            assertTrue(Float.isFinite(element), poisoned.toString());
          }
        }
      }
    }
  }

  /** Writes garbage at every position past the last, and before the first that is seen. */
  private static void poison(Scene scene, float garbage) {
    KvLayer cache = scene.cache;
    int end = scene.position + scene.tokens;
    int rest = cache.capacity() - end;
    if (rest > 0) {
      float[] x = new float[rest * cache.kvHeads() * cache.headDim()];
      Arrays.fill(x, garbage);
      cache.append(end, x, x, 0, 0, rest);
    }
    int unseen = scene.window == 0 ? 0 : Math.max(0, scene.position + 1 - scene.window);
    float[] x = new float[unseen * cache.kvHeads() * cache.headDim()];
    Arrays.fill(x, garbage);
    cache.append(0, x, x, 0, 0, unseen);
  }
}
