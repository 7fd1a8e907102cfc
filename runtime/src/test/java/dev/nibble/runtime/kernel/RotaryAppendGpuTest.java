package dev.nibble.runtime.kernel;

import dev.nibble.quantizer.tensor.FakeQuantizer;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Element;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** rope_append, and kv_stage, by which what was appended below 16 bits is read. */
@KernelTest
class RotaryAppendGpuTest {
  private static GpuFixture gpu;
  private static RotaryAppend append;
  private static KvStaging staging;

  @BeforeAll
  static void open() {
    gpu = GpuFixture.open(RotaryAppendGpuTest.class);
    append = new RotaryAppend(gpu.kernels());
    staging = new KvStaging(gpu.kernels());
  }

  @AfterAll
  static void close() {
    gpu.close();
  }

  @ParameterizedTest
  @CsvSource({
    "PLAIN, 1, 1, 1, 16, 16",
    "ROTATED, 7, 4, 2, 64, 16",
    "ROTATED, 31, 3, 1, 48, 16",
    "ROTATED, 33, 8, 8, 80, 8",
    "ROTATED, 129, 4, 4, 128, 4",
    "NORMED, 17, 6, 2, 96, 16",
    "NORMED, 64, 12, 1, 112, 6",
    "NORMED, 130, 4, 2, 128, 16",
    "ROTATED, 2, 2, 1, 32, 16",
    "PLAIN, 3, 2, 2, 64, 16",
    "NORMED, 8, 4, 1, 64, 16",
    "ROTATED, 15, 4, 2, 80, 4",
    "ROTATED, 16, 2, 2, 128, 16",
    "NORMED, 127, 4, 2, 64, 8"
  })
  void queriesAndCache(
      HeadInputs.Kind kind, int rows, int heads, int kvHeads, int headDim, int queryBits) {
    Random random = GpuFixture.random();
    // Out of order, and the last one idle.
    int[] positions = new int[rows + 1];
    short[] order = Permutation.of(random, rows);
    Arrays.setAll(positions, i -> i < rows ? order[i] : -1);
    float[] q = GpuFixture.halfGaussian(random, (rows + 1) * heads * headDim);
    float[] k = GpuFixture.halfGaussian(random, (rows + 1) * kvHeads * headDim);
    float[] v = GpuFixture.halfGaussian(random, (rows + 1) * kvHeads * headDim);
    for (int bits : new int[] {16, 8, 4, 3}) {
      KvLayout cache = KvLayout.of(bits, rows + 20, kvHeads, headDim);
      HeadInputs inputs =
          new HeadInputs(gpu, random, kind, heads, cache, queryBits, cache.capacity());
      // The second layer of two.
      DeviceRange block = gpu.room(2 * cache.regionBytes());
      MatrixRows queries = gpu.halfRows(q, heads * headDim);
      append.launch(
          gpu.stream(),
          inputs.device(),
          cache,
          cache.regionBytes(),
          queries,
          gpu.halfRows(k, kvHeads * headDim),
          gpu.halfRows(v, kvHeads * headDim),
          rows + 1,
          gpu.ints(positions),
          gpu.longs(block.address()));
      String what = kind + ", KV" + bits + ", [" + rows + ", " + heads + ", " + headDim + "]";
      int[] live = Arrays.copyOf(positions, rows);
      float[] expected = q.clone();
      float[] turned = inputs.queries(Arrays.copyOf(q, rows * heads * headDim), live);
      System.arraycopy(turned, 0, expected, 0, turned.length);
      // A rotation in float moves a value over the edge between two codes now and then.
      double limit = queryBits < 16 ? Math.pow(4, -queryBits) : GpuFixture.halfLimit(turned.length);
      gpu.expect(limit, expected, Element.HALF, queries, heads * headDim, what + ", queries");
      float[] keys = inputs.keys(Arrays.copyOf(k, rows * kvHeads * headDim), live);
      float[] values = Arrays.copyOf(v, keys.length);
      checkCache(cache, block, keys, values, live, what);
    }
  }

  private static void checkCache(
      KvLayout cache,
      DeviceRange block,
      float[] keys,
      float[] values,
      int[] positions,
      String what) {
    int headDim = cache.headDim();
    int bits = cache.bits();
    DeviceRange region = block.slice(cache.regionBytes(), cache.regionBytes());
    KvLayout stage = new KvLayout(16, cache.capacity() + 16, cache.kvHeads(), headDim);
    DeviceRange restored = region;
    if (bits < 16) {
      FakeQuantizer.cachedRuns(keys, 0, keys.length / headDim, headDim, bits, keys);
      FakeQuantizer.cachedRuns(values, 0, values.length / headDim, headDim, bits, values);
      restored = gpu.room(stage.regionBytes());
      staging.launch(gpu.stream(), cache, region, stage, restored, positions.length);
    } else {
      stage = cache;
    }
    double rounding = GpuFixture.halfLimit(keys.length);
    // Two codes may fall the other way: a step is up to 7 deviations / 2^bits, each costs 49 /
    // 4^bits.
    double edges = bits < 16 ? 100 * Math.pow(4, -bits) / keys.length : 0;
    int stride = stage.capacity() * headDim;
    int columns = positions.length * headDim;
    MatrixRows first = new MatrixRows(restored, stride);
    MatrixRows second =
        new MatrixRows(
            restored.slice(stage.valuesOffset(), restored.bytes() - stage.valuesOffset()), stride);
    check(rounding + edges, byHead(keys, cache, positions), first, columns, what + ", keys");
    check(rounding, byHead(values, cache, positions), second, columns, what + ", values");
  }

  private static void check(
      double limit, float[] expected, MatrixRows found, int columns, String what) {
    gpu.expect(limit, expected, Element.HALF, found, columns, what);
  }

  /** [tokens, heads, headDim] to [heads, positions, headDim]. */
  private static float[] byHead(float[] x, KvLayout cache, int[] positions) {
    int headDim = cache.headDim();
    float[] sorted = new float[x.length];
    for (int t = 0; t < positions.length; t++) {
      for (int h = 0; h < cache.kvHeads(); h++) {
        System.arraycopy(
            x,
            (t * cache.kvHeads() + h) * headDim,
            sorted,
            (h * positions.length + positions[t]) * headDim,
            headDim);
      }
    }
    return sorted;
  }
}
