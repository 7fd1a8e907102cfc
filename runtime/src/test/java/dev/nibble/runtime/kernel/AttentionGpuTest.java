package dev.nibble.runtime.kernel;

import dev.nibble.quantizer.tensor.KvLayer;
import dev.nibble.quantizer.tensor.ScalarOperations;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Element;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** attention_decode and attention_prefill over caches that rope_append filled. */
@KernelTest
class AttentionGpuTest {
  private static final double LIMIT = 5e-4;

  /** Positions of the new tokens of a batch; one row is idle. */
  private static final int[] LENGTHS = {0, 1, 6, 15, 16, 30, 31, 32, -1, 63, 64, 127, 128, 1000};

  private static final int LONGEST = 4095;
  private static final int[] TRACED = {0, 30, -1, 129};

  private static GpuFixture gpu;
  private static RotaryAppend append;

  @BeforeAll
  static void open() {
    gpu = GpuFixture.open(AttentionGpuTest.class);
    append = new RotaryAppend(gpu.kernels());
  }

  @AfterAll
  static void close() {
    gpu.close();
  }

  /** A sequence on the device and its cache on the host. */
  private record History(DeviceRange block, KvLayer layer) {}

  /** Fills a cache with random tokens; the layer is the second of two. */
  private static History history(
      Random random, HeadInputs inputs, KvLayout cache, int heads, int tokens) {
    int width = cache.kvHeads() * cache.headDim();
    KvLayer layer = new KvLayer(cache.bits(), cache.capacity(), cache.kvHeads(), cache.headDim());
    DeviceRange block = gpu.room(2 * cache.regionBytes());
    if (tokens > 0) {
      int[] positions = IntStream.range(0, tokens).toArray();
      float[] k = GpuFixture.halfGaussian(random, tokens * width);
      float[] v = GpuFixture.halfGaussian(random, tokens * width);
      append(layer, 0, inputs.keys(k, positions), v);
      append.launch(
          gpu.stream(),
          inputs.device(),
          cache,
          cache.regionBytes(),
          gpu.halfRows(new float[tokens * heads * cache.headDim()], heads * cache.headDim()),
          gpu.halfRows(k, width),
          gpu.halfRows(v, width),
          tokens,
          gpu.ints(positions),
          gpu.longs(block.address()));
    }
    return new History(block, layer);
  }

  private static void append(KvLayer layer, int position, float[] keys, float[] values) {
    try (ScalarOperations oracle = new ScalarOperations()) {
      int tokens = keys.length / layer.kvHeads() / layer.headDim();
      oracle.append(layer, position, keys, values, 0, tokens);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "ROTATED, 4, 2, 64, 0, 16",
    "ROTATED, 8, 1, 128, 0, 16",
    "ROTATED, 12, 1, 128, 0, 8",
    "NORMED, 8, 8, 128, 33, 16",
    "NORMED, 4, 4, 64, 100, 4",
    "ROTATED, 3, 1, 16, 0, 16",
    "NORMED, 4, 2, 80, 0, 16",
    "PLAIN, 4, 1, 96, 17, 16",
    "PLAIN, 2, 2, 112, 0, 8",
    "ROTATED, 6, 2, 32, 9, 16",
    "NORMED, 4, 2, 48, 0, 8"
  })
  void decode(
      HeadInputs.Kind kind, int heads, int kvHeads, int headDim, int window, int queryBits) {
    for (int bits : new int[] {16, 8, 4, 3}) {
      decode(kind, heads, new KvLayout(bits, 1024, kvHeads, headDim), window, queryBits, lengths());
    }
  }

  private static int[] lengths() {
    return gpu.isTraced() ? TRACED : LENGTHS;
  }

  /** So many that blocks of a row are no cluster, and then that they are not even split. */
  @ParameterizedTest
  @CsvSource({
    "40, 16", "40, 4", "300, 8", "300, 3", "1, 8", "2, 16", "3, 4", "8, 3", "15, 16", "16, 8",
    "17, 4", "64, 16", "127, 3", "129, 8"
  })
  void decodeOfManyRows(int rows, int bits) {
    if (!gpu.isTraced()) {
      KvLayout cache = new KvLayout(bits, 320, 4, 128);
      int[] lengths = IntStream.range(0, rows).toArray();
      decode(HeadInputs.Kind.ROTATED, 8, cache, 0, 16, lengths);
    } else if (rows == 40) {
      KvLayout cache = new KvLayout(bits, 32, 2, 128);
      int[] lengths = IntStream.range(0, rows).map(row -> row % 20).toArray();
      decode(HeadInputs.Kind.ROTATED, 8, cache, 0, 16, lengths);
    }
  }

  /** So many blocks that a warp goes through whole groups of codes by itself. */
  @ParameterizedTest
  @ValueSource(ints = {8, 4, 3})
  void decodeOfManyHeads(int bits) {
    KvLayout cache = new KvLayout(bits, 144, 67, 128);
    decode(HeadInputs.Kind.ROTATED, 67, cache, 0, 16, TRACED);
  }

  @ParameterizedTest
  @CsvSource({"16, 64", "16, 128", "8, 64", "8, 128", "4, 64", "4, 128", "3, 128"})
  void decodeOfLongSequences(int bits, int headDim) {
    if (!gpu.isTraced()) {
      KvLayout cache = new KvLayout(bits, LONGEST + 1, 2, headDim);
      decode(HeadInputs.Kind.ROTATED, 8, cache, 0, 16, new int[] {LONGEST - 1, 2049});
    }
  }

  /** Two steps, of which the second sees what the first appended. */
  private static void decode(
      HeadInputs.Kind kind, int heads, KvLayout cache, int window, int queryBits, int[] lengths) {
    Random random = GpuFixture.random();
    DecodeAttention attention = new DecodeAttention(gpu.kernels(), cache);
    HeadInputs inputs =
        new HeadInputs(gpu, random, kind, heads, cache, queryBits, cache.capacity());
    int rows = lengths.length;
    History[] histories = new History[rows];
    long[] addresses = new long[rows];
    for (int r = 0; r < rows; r++) {
      histories[r] = history(random, inputs, cache, heads, Math.max(lengths[r], 0));
      addresses[r] = histories[r].block.address();
    }
    DeviceRange caches = gpu.longs(addresses);
    DecodeAttention.Scratch scratch =
        new DecodeAttention.Scratch(
            gpu.room(DecodeAttention.partialBytes(cache, heads, rows)),
            gpu.zeros(DecodeAttention.arrivalBytes(cache, heads, rows)));
    int width = cache.kvHeads() * cache.headDim();
    int queries = heads * cache.headDim();
    for (int step = 0; step < 2; step++) {
      float[] q = GpuFixture.halfGaussian(random, rows * queries);
      float[] k = GpuFixture.halfGaussian(random, rows * width);
      float[] v = GpuFixture.halfGaussian(random, rows * width);
      float[] expected = new float[rows * queries];
      int[] positions = new int[rows];
      for (int r = 0; r < rows; r++) {
        positions[r] = lengths[r] < 0 ? -1 : lengths[r] + step;
        if (positions[r] >= 0) {
          int[] at = {positions[r]};
          float[] keys = inputs.keys(Arrays.copyOfRange(k, r * width, (r + 1) * width), at);
          append(
              histories[r].layer, at[0], keys, Arrays.copyOfRange(v, r * width, (r + 1) * width));
          float[] query = inputs.queries(Arrays.copyOfRange(q, r * queries, (r + 1) * queries), at);
          float[] out = attended(query, heads, histories[r].layer, at[0], window);
          System.arraycopy(out, 0, expected, r * queries, queries);
        }
      }
      // Queries, keys and values in one row.
      float[] all = new float[rows * (queries + 2 * width)];
      for (int r = 0; r < rows; r++) {
        int at = r * (queries + 2 * width);
        System.arraycopy(q, r * queries, all, at, queries);
        System.arraycopy(k, r * width, all, at + queries, width);
        System.arraycopy(v, r * width, all, at + queries + width, width);
      }
      MatrixRows qkv = gpu.halfRows(all, queries + 2 * width);
      MatrixRows out = gpu.rows(Element.HALF, rows, queries);
      attention.launch(
          gpu.stream(),
          inputs.device(),
          cache.regionBytes(),
          window,
          qkv,
          qkv.from(queries, Short.BYTES),
          qkv.from(queries + width, Short.BYTES),
          rows,
          gpu.ints(positions),
          caches,
          scratch,
          out);
      String what = kind + ", " + heads + " heads, " + cache + ", window " + window;
      gpu.expect(LIMIT, expected, Element.HALF, out, queries, what + ", step " + step);
    }
    for (History history : histories) {
      gpu.free(history.block);
    }
  }

  private static float[] attended(
      float[] queries, int heads, KvLayer layer, int position, int window) {
    float[] out = new float[queries.length];
    int tokens = queries.length / heads / layer.headDim();
    try (ScalarOperations oracle = new ScalarOperations()) {
      oracle.attention(queries, 0, tokens, heads, layer, position, window, out);
    }
    return out;
  }

  /** Cut in two, so that the second part starts within the cache. */
  @ParameterizedTest
  @CsvSource({
    "4, 2, 64, 0",
    "8, 1, 128, 0",
    "3, 3, 128, 65",
    "6, 2, 64, 100",
    "2, 1, 16, 0",
    "4, 2, 80, 0",
    "2, 2, 96, 33",
    "4, 4, 112, 0",
    "6, 2, 32, 9",
    "4, 2, 48, 0"
  })
  void prefill(int heads, int kvHeads, int headDim, int window) {
    int[][] cuts =
        gpu.isTraced()
            ? new int[][] {{30, 103}}
            : new int[][] {
              {1, 7}, {2, 15}, {3, 8}, {16, 17}, {31, 33}, {64, 65}, {127, 129}, {128, 172}
            };
    for (int[] cut : cuts) {
      prefill(heads, new KvLayout(16, 512, kvHeads, headDim), window, cut);
    }
  }

  @ParameterizedTest
  @CsvSource({"64", "128", "80"})
  void prefillOfLongSequences(int headDim) {
    if (!gpu.isTraced()) {
      prefill(2, new KvLayout(16, LONGEST + 1, 1, headDim), 0, new int[] {3900, 133});
    }
  }

  private static void prefill(int heads, KvLayout cache, int window, int[] cut) {
    Random random = GpuFixture.random();
    PrefillAttention attention = new PrefillAttention(gpu.kernels(), cache);
    HeadInputs inputs =
        new HeadInputs(gpu, random, HeadInputs.Kind.PLAIN, heads, cache, 16, cache.capacity());
    int tokens = cut[0] + cut[1];
    History history = history(random, inputs, cache, heads, tokens);
    DeviceRange region = history.block.slice(cache.regionBytes(), cache.regionBytes());
    int queries = heads * cache.headDim();
    int position = cut[0] > 1000 ? cut[0] : 0;
    for (int part = position == 0 ? 0 : 1; part < 2; part++) {
      float[] q = GpuFixture.halfGaussian(random, cut[part] * queries);
      MatrixRows out = gpu.rows(Element.HALF, cut[part], queries);
      attention.launch(
          gpu.stream(), region, heads, window, gpu.halfRows(q, queries), cut[part], position, out);
      String what = heads + " heads, " + cache + ", " + cut[part] + " tokens at " + position;
      float[] expected = attended(q, heads, history.layer, position, window);
      gpu.expect(LIMIT, expected, Element.HALF, out, queries, what + ", window " + window);
      position += cut[part];
    }
    gpu.free(history.block);
  }
}
