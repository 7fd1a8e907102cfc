package dev.nibble.bench.kernel;

import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import dev.nibble.quantizer.format.DType;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.kernel.ActivationFunction;
import dev.nibble.runtime.kernel.AttentionHeads;
import dev.nibble.runtime.kernel.EmbeddingLookup;
import dev.nibble.runtime.kernel.KvLayout;
import dev.nibble.runtime.kernel.MatrixRows;
import dev.nibble.runtime.kernel.RotaryAppend;
import dev.nibble.runtime.kernel.TokenSampler;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.IntUnaryOperator;

/**
 * What a model does around its products: the embedding, rotation of queries and keys with the
 * cache's new rows, SwiGLU, the choice of tokens. What they read but the embedding was just written
 * by another kernel, in a model too: the L2 cache has it.
 */
public final class AroundBench {
  private static final long SEED = 0x61726fL;
  private static final int LAUNCHES = 48;
  private static final double BASE = 1e4;

  private final Workbench bench;
  private final int samples;

  /**
   * Prepares.
   *
   * @param bench the GPU
   * @param samples of each time
   */
  public AroundBench(Workbench bench, int samples) {
    this.bench = bench;
    this.samples = samples;
  }

  /**
   * Measures the choice of the largest logit.
   *
   * @param rows sequences
   * @param vocab logits of each
   * @return its time
   * @throws WrongResultException if a token is not the one with the largest
   */
  public Timed sample(int rows, int vocab) {
    HostInputs logits = HostInputs.random(rows, vocab, SEED);
    int[] largest = ints(rows, row -> (int) ((row * 7919L + 13) % vocab));
    for (int row = 0; row < rows; row++) {
      logits.values()[row * vocab + largest[row]] = 100;
    }
    MatrixRows x = new MatrixRows(bench.upload(MemorySegment.ofArray(logits.values())), vocab);
    long[] rules = new long[rows * TokenSampler.PARAMETERS_BYTES / Long.BYTES];
    for (int row = 0; row < rows; row++) {
      TokenSampler.write(
          MemorySegment.ofArray(rules),
          (long) row * TokenSampler.PARAMETERS_BYTES,
          SEED + row,
          0,
          0,
          1,
          0);
    }
    DeviceRange parameters = bench.upload(MemorySegment.ofArray(rules));
    DeviceRange positions = bench.upload(MemorySegment.ofArray(ints(rows, row -> row + 1)));
    long perRow = (long) Integer.BYTES * rows;
    TokenSampler.Scratch scratch =
        new TokenSampler.Scratch(
            bench.room(TokenSampler.partialBytes(rows)),
            bench.zeros(perRow),
            bench.room(TokenSampler.candidateBytes(rows, vocab)));
    DeviceRange tokens = bench.zeros(perRow);
    TokenSampler.Results results = new TokenSampler.Results(bench.kernels().device(), rows);
    TokenSampler sampler = new TokenSampler(bench.kernels());
    Runnable launch =
        () ->
            sampler.launch(
                bench.stream(), x, vocab, rows, parameters, positions, scratch, tokens, results);
    Spread time = time(launch, () -> requireInts("sample", largest, tokens));
    return timed("sample", rows, Map.of("vocab", vocab), time, 4L * rows * vocab);
  }

  /**
   * Measures the look-up of tokens in a table of halves.
   *
   * @param rows tokens
   * @param vocab rows of the table
   * @param columns of a row
   * @return its time
   * @throws WrongResultException if a row is not the table's
   */
  public Timed embedding(int rows, int vocab, int columns) {
    HostInputs table = HostInputs.random(vocab, columns, SEED);
    DeviceRange halves = bench.room((long) Short.BYTES * vocab * columns);
    upload(table, halves);
    int[] tokens = new Random(SEED).ints(rows, 0, vocab).toArray();
    DeviceRange ids = bench.upload(MemorySegment.ofArray(tokens));
    DeviceRange positions = bench.zeros((long) Integer.BYTES * rows);
    DeviceRange out = bench.room((long) Float.BYTES * rows * columns);
    EmbeddingLookup lookup = new EmbeddingLookup(bench.kernels());
    EmbeddingLookup.Table weights = new EmbeddingLookup.Table(DType.F16, vocab, columns, halves);
    Runnable launch =
        () ->
            lookup.launch(
                bench.stream(), weights, null, ids, positions, rows, new MatrixRows(out, columns));
    Spread time =
        time(
            launch,
            () -> {
              long rowBytes = (long) Float.BYTES * columns;
              for (int row : ProductCheck.spread(rows)) {
                float[] found =
                    bench.read(out.slice(row * rowBytes, rowBytes)).toArray(ValueLayout.JAVA_FLOAT);
                Tolerance.require("embedding, row " + row, table.token(tokens[row], 16), found, 0);
              }
            });
    return timed("embedding", rows, Map.of("columns", columns), time, 6L * rows * columns);
  }

  /** As halves, a part at a time. */
  private void upload(HostInputs table, DeviceRange halves) {
    int rows = Math.max(1, (4 << 20) / table.columns());
    for (int from = 0; from < table.tokens(); from += rows) {
      int to = Math.min(table.tokens(), from + rows);
      float[] part =
          Arrays.copyOfRange(table.values(), from * table.columns(), to * table.columns());
      DeviceRange uploaded = bench.halves(part);
      halves
          .buffer()
          .copyFrom(
              bench.stream(),
              halves.offset() + (long) Short.BYTES * from * table.columns(),
              uploaded.buffer(),
              uploaded.offset(),
              uploaded.bytes());
    }
  }

  /**
   * Measures SwiGLU.
   *
   * @param rows tokens
   * @param columns of a row
   * @return its time
   * @throws WrongResultException if a result is not silu(x) * up
   */
  public Timed swiGlu(int rows, int columns) {
    HostInputs gate = HostInputs.random(rows, columns, SEED);
    HostInputs up = HostInputs.random(rows, columns, SEED + rows);
    MatrixRows x = new MatrixRows(bench.halves(gate.values()), columns);
    MatrixRows factor = new MatrixRows(bench.halves(up.values()), columns);
    DeviceRange out = bench.room((long) Short.BYTES * rows * columns);
    ActivationFunction function = new ActivationFunction(bench.kernels(), columns);
    Runnable launch =
        () ->
            function.launch(
                bench.stream(),
                ActivationFunction.Kind.SWIGLU,
                x,
                factor,
                rows,
                columns,
                new MatrixRows(out, columns),
                null,
                null);
    Spread time =
        time(
            launch,
            () -> {
              for (int row : ProductCheck.spread(rows)) {
                double[] expected = gate.token(row, 16);
                double[] factors = up.token(row, 16);
                for (int c = 0; c < columns; c++) {
                  expected[c] *= factors[c] / (1 + Math.exp(-expected[c]));
                }
                requireHalves("activation", row, expected, out, columns);
              }
            });
    return timed("activation", rows, Map.of("columns", columns), time, 6L * rows * columns);
  }

  /**
   * Measures rotation of queries and keys and the cache's new rows, of a prompt's tokens.
   *
   * @param rows tokens
   * @param heads of queries, keys and values
   * @param headDim channels of a head
   * @param kvBits of the cache
   * @return its time
   * @throws WrongResultException if a query is rotated otherwise; the cache is checked where
   *     attention reads it
   */
  public Timed rotate(int rows, int heads, int headDim, int kvBits) {
    int columns = heads * headDim;
    HostInputs queries = HostInputs.random(rows, columns, SEED);
    MatrixRows keys = new MatrixRows(bench.halves(queries.values()), columns);
    DeviceRange q = bench.halves(queries.values());
    DeviceRange source = bench.copy(q);
    KvLayout layout = KvLayout.of(kvBits, rows, heads, headDim);
    DeviceRange cache = bench.zeros(layout.regionBytes());
    int half = headDim / 2;
    float[] cosines = new float[rows * half];
    float[] sines = new float[rows * half];
    for (int i = 0; i < cosines.length; i++) {
      int position = i / half;
      double angle = position * Math.pow(BASE, -2.0 * (i % half) / headDim);
      cosines[i] = (float) Math.cos(angle);
      sines[i] = (float) Math.sin(angle);
    }
    AttentionHeads rotation =
        new AttentionHeads(
            heads,
            16,
            0,
            null,
            null,
            bench.upload(MemorySegment.ofArray(cosines)),
            bench.upload(MemorySegment.ofArray(sines)),
            null);
    DeviceRange positions = bench.upload(MemorySegment.ofArray(ints(rows, row -> row)));
    DeviceRange caches = bench.upload(MemorySegment.ofArray(new long[] {cache.address()}));
    RotaryAppend append = new RotaryAppend(bench.kernels());
    Runnable launch =
        () ->
            append.launch(
                bench.stream(),
                rotation,
                layout,
                0,
                new MatrixRows(q, columns),
                keys,
                keys,
                rows,
                positions,
                caches);
    Runnable check =
        () -> {
          // Queries are rotated in place, so each check begins with new ones.
          q.buffer()
              .copyFrom(bench.stream(), q.offset(), source.buffer(), source.offset(), q.bytes());
          launch.run();
          for (int row : ProductCheck.spread(rows)) {
            double[] expected = queries.token(row, 16);
            for (int c = 0; c < columns; c++) {
              if (c % headDim < half) {
                double cosine = cosines[row * half + c % headDim];
                double sine = sines[row * half + c % headDim];
                double first = expected[c];
                double second = expected[c + half];
                expected[c] = first * cosine - second * sine;
                expected[c + half] = second * cosine + first * sine;
              }
            }
            requireHalves("rope_append", row, expected, q, columns);
          }
        };
    Spread time = time(launch, check);
    long bytes = 4L * rows * columns + 4L * rows * columns + layout.regionBytes();
    return timed(
        "rope_append",
        rows,
        Map.of("heads", heads, "head_dim", headDim, "kv_bits", kvBits),
        time,
        bytes);
  }

  /** The time of launches whose result is right before and after. */
  private Spread time(Runnable launch, Runnable check) {
    launch.run();
    check.run();
    Spread time = bench.microseconds(LAUNCHES, _ -> launch.run(), samples);
    check.run();
    bench.clear();
    return time;
  }

  private void requireHalves(
      String kernel, int row, double[] expected, DeviceRange out, int columns) {
    long rowBytes = (long) Short.BYTES * columns;
    Tolerance.require(
        kernel + ", row " + row,
        expected,
        bench.readHalves(out.slice(row * rowBytes, rowBytes)),
        Tolerance.LIMIT);
  }

  private void requireInts(String kernel, int[] expected, DeviceRange found) {
    int[] values = bench.read(found).toArray(ValueLayout.JAVA_INT);
    if (!Arrays.equals(expected, values)) {
      throw new WrongResultException(
          kernel
              + ": found "
              + Arrays.toString(values)
              + ", expected "
              + Arrays.toString(expected));
    }
  }

  private static int[] ints(int count, IntUnaryOperator value) {
    int[] values = new int[count];
    Arrays.setAll(values, value);
    return values;
  }

  private static Timed timed(
      String kernel, int rows, Map<String, Integer> shape, Spread time, long bytes) {
    Map<String, String> parameters = new TreeMap<>();
    parameters.put("tokens", Integer.toString(rows));
    shape.forEach((name, value) -> parameters.put(name, value.toString()));
    return new Timed(kernel, "", parameters, time, new Work(bytes, 0));
  }
}
