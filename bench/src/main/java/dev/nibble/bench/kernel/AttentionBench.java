package dev.nibble.bench.kernel;

import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.kernel.AttentionHeads;
import dev.nibble.runtime.kernel.DecodeAttention;
import dev.nibble.runtime.kernel.KvLayout;
import dev.nibble.runtime.kernel.KvStaging;
import dev.nibble.runtime.kernel.MatrixRows;
import dev.nibble.runtime.kernel.PrefillAttention;
import dev.nibble.runtime.kernel.RotaryAppend;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntConsumer;

/**
 * Attention of decode steps and of prompts, and what restores a packed cache for the latter, over
 * caches filled by the engine's own kernel.
 */
public final class AttentionBench {
  private static final long SEED = 0x6b76L;
  private static final int DECODE_LAUNCHES = 24;
  private static final int PREFILL_LAUNCHES = 4;

  /** Steps and minimums of a packed key and value. */
  private static final int STEP_BYTES = 8;

  private final Workbench bench;
  private final int samples;

  /**
   * Prepares.
   *
   * @param bench the GPU
   * @param samples of each time
   */
  public AttentionBench(Workbench bench, int samples) {
    this.bench = bench;
    this.samples = samples;
  }

  /** Random rows of queries, keys and values side by side, of which the last two are a context. */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Rows(AttentionShape shape, int count, float[] q, float[] k, float[] v) {
    static Rows random(AttentionShape shape, int count) {
      return new Rows(
          shape,
          count,
          HostInputs.random(count, shape.queries(), SEED).values(),
          HostInputs.random(count, shape.keys(), SEED + count).values(),
          HostInputs.random(count, shape.keys(), SEED + 2L * count).values());
    }
  }

  private AttentionHeads heads(AttentionShape shape) {
    return new AttentionHeads(shape.heads(), 16, 0, null, null, null, null, null);
  }

  /** A sequence's cache with the keys and values of some rows from position 0. */
  private DeviceRange filled(AttentionShape shape, KvLayout layout, Rows rows) {
    DeviceRange block = bench.zeros(layout.regionBytes());
    int[] positions = new int[rows.count];
    Arrays.setAll(positions, i -> i);
    new RotaryAppend(bench.kernels())
        .launch(
            bench.stream(),
            heads(shape),
            layout,
            0,
            new MatrixRows(bench.halves(rows.q), shape.queries()),
            new MatrixRows(bench.halves(rows.k), shape.keys()),
            new MatrixRows(bench.halves(rows.v), shape.keys()),
            rows.count,
            bench.upload(MemorySegment.ofArray(positions)),
            bench.upload(MemorySegment.ofArray(new long[] {block.address()})));
    return block;
  }

  /**
   * Measures a step in which each sequence gets a token.
   *
   * @param shape the last token of the context is the new one
   * @return its time
   * @throws WrongResultException if a result is not that of plain loops
   */
  public Timed decode(AttentionShape shape) {
    int last = shape.context() - 1;
    KvLayout layout =
        KvLayout.of(shape.kvBits(), shape.context(), shape.kvHeads(), shape.headDim());
    Rows context = Rows.random(shape, shape.context());
    DeviceRange filled = filled(shape, layout, context);
    long bytes = layout.regionBytes() * shape.batch();
    int copies = Workbench.rotations(bytes);
    List<DeviceRange> caches = new ArrayList<>();
    for (int i = 0; i < copies; i++) {
      long[] addresses = new long[shape.batch()];
      Arrays.setAll(addresses, _ -> bench.copy(filled).address());
      caches.add(bench.upload(MemorySegment.ofArray(addresses)));
    }
    int stride = shape.queries() + 2 * shape.keys();
    float[] rows = new float[shape.batch() * stride];
    for (int b = 0; b < shape.batch(); b++) {
      // Each sequence asks something else of the same context, and adds its last token anew.
      System.arraycopy(context.q, b * shape.queries(), rows, b * stride, shape.queries());
      int keys = b * stride + shape.queries();
      System.arraycopy(context.k, last * shape.keys(), rows, keys, shape.keys());
      System.arraycopy(context.v, last * shape.keys(), rows, keys + shape.keys(), shape.keys());
    }
    MatrixRows q = new MatrixRows(bench.halves(rows), stride);
    int[] positions = new int[shape.batch()];
    Arrays.fill(positions, last);
    DeviceRange at = bench.upload(MemorySegment.ofArray(positions));
    DecodeAttention attention = new DecodeAttention(bench.kernels(), layout);
    DecodeAttention.Scratch scratch =
        new DecodeAttention.Scratch(
            bench.room(DecodeAttention.partialBytes(layout, shape.heads(), shape.batch())),
            bench.zeros(DecodeAttention.arrivalBytes(layout, shape.heads(), shape.batch())));
    DeviceRange out = bench.room((long) Short.BYTES * shape.batch() * shape.queries());
    Spread time =
        bench.microseconds(
            Math.ceilDiv(DECODE_LAUNCHES, copies) * copies,
            i ->
                attention.launch(
                    bench.stream(),
                    heads(shape),
                    0,
                    0,
                    q,
                    q.from(shape.queries(), Short.BYTES),
                    q.from(shape.queries() + shape.keys(), Short.BYTES),
                    shape.batch(),
                    at,
                    caches.get(i % copies),
                    scratch,
                    new MatrixRows(out, shape.queries())),
            samples);
    HostCache cache =
        HostCache.of(context.k, context.v, shape.kvHeads(), shape.headDim(), shape.kvBits());
    for (int b : ProductCheck.spread(shape.batch())) {
      require("attention_decode", shape, cache, rows, b, stride, shape.context(), out);
    }
    long read = layout.rowBytes() * 2L + (shape.kvBits() < 16 ? STEP_BYTES : 0);
    long tokens = (long) shape.batch() * shape.context();
    Work work =
        new Work(
            tokens * shape.kvHeads() * read + 4L * shape.batch() * shape.queries(),
            4 * tokens * shape.queries());
    bench.clear();
    return new Timed("attention_decode", "", shape.parameters(), time, work);
  }

  /**
   * Measures a prompt of one sequence.
   *
   * @param shape the context is the prompt; one sequence, 16 bits
   * @return its time
   * @throws WrongResultException if a result is not that of plain loops
   */
  public Timed prefill(AttentionShape shape) {
    if (shape.batch() != 1 || shape.kvBits() != 16) {
      throw new IllegalArgumentException(shape + ": expected one sequence of 16 bits");
    }
    int tokens = shape.context();
    KvLayout layout = KvLayout.of(16, tokens, shape.kvHeads(), shape.headDim());
    Rows prompt = Rows.random(shape, tokens);
    DeviceRange filled = filled(shape, layout, prompt);
    MatrixRows q = new MatrixRows(bench.halves(prompt.q), shape.queries());
    DeviceRange out = bench.room((long) Short.BYTES * tokens * shape.queries());
    int copies = Workbench.rotations(layout.regionBytes());
    List<DeviceRange> regions = new ArrayList<>();
    for (int i = 0; i < copies; i++) {
      regions.add(bench.copy(filled));
    }
    PrefillAttention attention = new PrefillAttention(bench.kernels(), layout);
    Spread time =
        bench.microseconds(
            PREFILL_LAUNCHES,
            i ->
                attention.launch(
                    bench.stream(),
                    regions.get(i % copies),
                    shape.heads(),
                    0,
                    q,
                    tokens,
                    0,
                    new MatrixRows(out, shape.queries())),
            samples);
    HostCache cache = HostCache.of(prompt.k, prompt.v, shape.kvHeads(), shape.headDim(), 16);
    for (int t : ProductCheck.spread(tokens)) {
      require("attention_prefill", shape, cache, prompt.q, t, shape.queries(), t + 1, out);
    }
    long pairs = (long) tokens * (tokens + 1) / 2;
    Work work =
        new Work(4L * tokens * (shape.queries() + shape.keys()), 4 * pairs * shape.queries());
    bench.clear();
    return new Timed("attention_prefill", "", shape.parameters(), time, work);
  }

  /**
   * Measures how a packed cache becomes the halves that attention of a prompt reads.
   *
   * @param shape one sequence, fewer than 16 bits
   * @return the time of its keys and values
   * @throws WrongResultException if one is not what plain loops restore
   */
  public Timed stage(AttentionShape shape) {
    if (shape.batch() != 1 || shape.kvBits() == 16) {
      throw new IllegalArgumentException(shape + ": expected one sequence of fewer bits");
    }
    int positions = shape.context();
    KvLayout layout = KvLayout.of(shape.kvBits(), positions, shape.kvHeads(), shape.headDim());
    KvLayout stage = KvLayout.of(16, positions, shape.kvHeads(), shape.headDim());
    Rows context = Rows.random(shape, positions);
    DeviceRange filled = filled(shape, layout, context);
    List<DeviceRange> regions = new ArrayList<>();
    for (int i = Workbench.rotations(layout.regionBytes()); i > 0; i--) {
      regions.add(bench.copy(filled));
    }
    DeviceRange restored = bench.room(stage.regionBytes());
    KvStaging staging = new KvStaging(bench.kernels());
    IntConsumer launch =
        i ->
            staging.launch(
                bench.stream(),
                layout,
                regions.get(i % regions.size()),
                stage,
                restored,
                positions);
    HostCache cache =
        HostCache.of(context.k, context.v, shape.kvHeads(), shape.headDim(), shape.kvBits());
    restored.fill(bench.stream(), (byte) 0xff);
    launch.accept(regions.size() - 1);
    requireStaged(shape, stage, cache, restored);
    Spread time = bench.microseconds(ProductBench.launches(regions.size(), 1), launch, samples);
    requireStaged(shape, stage, cache, restored);
    long rows = 2L * positions * shape.kvHeads();
    long read = rows * layout.rowBytes() + rows / 2 * STEP_BYTES;
    bench.clear();
    return new Timed(
        "kv_stage", "", shape.parameters(), time, new Work(read + rows * stage.rowBytes(), 0));
  }

  private void requireStaged(
      AttentionShape shape, KvLayout stage, HostCache cache, DeviceRange restored) {
    for (int position : ProductCheck.spread(shape.context())) {
      for (int head : ProductCheck.spread(shape.kvHeads())) {
        long at = ((long) head * stage.capacity() + position) * stage.rowBytes();
        String what = "kv_stage " + shape + ", position " + position + ", head " + head;
        requireRow(what + ", key", cache.key(position, head), restored, at, stage);
        requireRow(
            what + ", value",
            cache.value(position, head),
            restored,
            at + stage.valuesOffset(),
            stage);
      }
    }
  }

  private void requireRow(
      String what, double[] expected, DeviceRange restored, long at, KvLayout stage) {
    float[] found = bench.readHalves(restored.slice(at, stage.rowBytes()));
    Tolerance.require(what, expected, found, Tolerance.LIMIT);
  }

  private void require(
      String kernel,
      AttentionShape shape,
      HostCache cache,
      float[] queries,
      int row,
      int stride,
      int positions,
      DeviceRange out) {
    long rowBytes = (long) Short.BYTES * shape.queries();
    float[] found = bench.readHalves(out.slice(row * rowBytes, rowBytes));
    for (int head : ProductCheck.spread(shape.heads())) {
      Tolerance.require(
          kernel + " " + shape + ", row " + row + ", head " + head,
          cache.attend(queries, row * stride, head, shape.kvHead(head), positions),
          Arrays.copyOfRange(found, head * shape.headDim(), (head + 1) * shape.headDim()),
          2 * Tolerance.LIMIT);
    }
  }
}
