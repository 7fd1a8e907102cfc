package dev.nibble.runtime.engine;

import dev.nibble.quantizer.tensor.TensorOperations;
import dev.nibble.runtime.cache.KvCache;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.lang.foreign.Arena;
import java.util.ArrayDeque;
import org.jspecify.annotations.Nullable;

/** Runs a model on the CPU. */
final class CpuEngine implements Engine {
  private final ModelWeights weights;
  private final Arena arena;
  private final TensorOperations operations;
  private final MemoryPlan plan;
  private final Workspace work;
  private final CpuTransformer transformer;
  private final Sampler.Scratch scratch;
  private final ArrayDeque<KvCache> free = new ArrayDeque<>();
  private final CpuSequence[] single = new CpuSequence[1];
  private final CpuSequence[] batch;
  private boolean closed;

  private CpuEngine(
      ModelWeights weights, ModelOptions options, TensorOperations operations, Arena arena) {
    this.weights = weights;
    this.operations = operations;
    this.arena = arena;
    plan = MemoryPlan.of(weights, options);
    work = new Workspace(WorkspaceShape.of(weights, options));
    transformer = new CpuTransformer(weights, plan.contextLength(), operations, work, arena);
    scratch = new Sampler.Scratch(weights.config().vocabSize());
    batch = new CpuSequence[plan.sequences()];
    for (int i = 0; i < plan.sequences(); i++) {
      free.add(new KvCache(weights.config(), weights.kvBits(), plan.contextLength()));
    }
  }

  static CpuEngine create(ModelWeights weights, ModelOptions options) {
    int cores = Runtime.getRuntime().availableProcessors();
    int threads = options.threads() == 0 ? cores : options.threads();
    return create(weights, options, TensorOperations.best(threads));
  }

  /** Makes an engine that works with operations of the caller's, and closes them in the end. */
  static CpuEngine create(ModelWeights weights, ModelOptions options, TensorOperations operations) {
    Arena arena = Arena.ofShared();
    try {
      return new CpuEngine(weights, options, operations, arena);
    } catch (RuntimeException | OutOfMemoryError e) {
      arena.close();
      operations.close();
      weights.close();
      throw e;
    }
  }

  @Override
  public String device() {
    return "cpu";
  }

  @Override
  public int contextLength() {
    return plan.contextLength();
  }

  @Override
  public int maxSequences() {
    return batch.length;
  }

  @Override
  public int vocabSize() {
    return weights.config().vocabSize();
  }

  @Override
  public MemoryPlan memory() {
    return plan;
  }

  @Override
  public Sequence open(SamplingParameters sampling) {
    requireOpen();
    KvCache cache = free.poll();
    if (cache == null) {
      throw new IllegalStateException("all " + maxSequences() + " sequences are open");
    }
    Sampler sampler = new Sampler(scratch);
    sampler.start(sampling);
    return new CpuSequence(this, cache, sampler);
  }

  /** Takes a closed sequence's cache back. */
  void release(KvCache cache) {
    free.add(cache);
  }

  @Override
  public int prefill(Sequence sequence, int[] tokens) {
    CpuSequence own = own(sequence);
    int lastRow = run(own, tokens, null);
    transformer.logits(lastRow, 1);
    return own.sample(work.logits, 0);
  }

  @Override
  public void append(Sequence sequence, int[] tokens) {
    run(own(sequence), tokens, null);
  }

  @Override
  public void score(Sequence sequence, int[] tokens, LogitsSink sink) {
    run(own(sequence), tokens, sink);
  }

  @Override
  public void step(Sequence[] stepped, int count, int[] tokens) {
    if (count < 1 || count > batch.length || count > stepped.length || count > tokens.length) {
      throw new IllegalArgumentException("batch of " + count + ": expected 1 to " + batch.length);
    }
    for (int i = 0; i < count; i++) {
      CpuSequence sequence = own(stepped[i]);
      for (int j = 0; j < i; j++) {
        if (batch[j] == sequence) {
          throw new IllegalArgumentException("sequence " + i + " is in the batch twice");
        }
      }
      check(sequence, 1, tokens[i]);
      batch[i] = sequence;
    }
    for (int i = 0; i < count; i++) {
      work.tokens[i] = tokens[i];
      work.positions[i] = batch[i].length();
    }
    transformer.forward(batch, count, 1);
    for (int i = 0; i < count; i++) {
      batch[i].append(work.tokens[i]);
    }
    int logitRows = work.shape.logitRows();
    for (int first = 0; first < count; first += logitRows) {
      int rows = Math.min(logitRows, count - first);
      transformer.logits(first, rows);
      for (int i = 0; i < rows; i++) {
        tokens[first + i] = batch[first + i].sample(work.logits, i * vocabSize());
      }
    }
  }

  /** Runs tokens in chunks. Returns the row of the workspace that the last one was in. */
  private int run(CpuSequence sequence, int[] tokens, @Nullable LogitsSink sink) {
    if (tokens.length == 0) {
      throw new IllegalArgumentException("no tokens");
    }
    for (int token : tokens) {
      check(sequence, tokens.length, token);
    }
    int chunk = work.shape.rows();
    int rows = 0;
    for (int first = 0; first < tokens.length; first += rows) {
      rows = Math.min(chunk, tokens.length - first);
      for (int i = 0; i < rows; i++) {
        work.tokens[i] = tokens[first + i];
        work.positions[i] = sequence.length() + i;
      }
      single[0] = sequence;
      transformer.forward(single, 1, rows);
      for (int i = 0; i < rows; i++) {
        sequence.append(work.tokens[i]);
      }
      if (sink != null) {
        score(sequence, first, rows, sink);
      }
    }
    return rows - 1;
  }

  private void score(CpuSequence sequence, int firstToken, int rows, LogitsSink sink) {
    int logitRows = work.shape.logitRows();
    int firstPosition = sequence.length() - rows;
    for (int row = 0; row < rows; row += logitRows) {
      int count = Math.min(logitRows, rows - row);
      transformer.logits(row, count);
      for (int i = 0; i < count; i++) {
        Sampler.requireFinite(work.logits, i * vocabSize(), vocabSize(), firstPosition + row + i);
      }
      sink.accept(firstToken + row, count, work.logits);
    }
  }

  /** Logits of the last step, [sequences, vocab] as far as they fit. */
  float[] lastLogits() {
    return work.logits;
  }

  private CpuSequence own(Sequence sequence) {
    requireOpen();
    if (!(sequence instanceof CpuSequence own) || !own.belongsTo(this)) {
      throw new IllegalArgumentException("a sequence of another engine");
    }
    if (!own.isOpen()) {
      throw new IllegalStateException("the sequence is closed");
    }
    return own;
  }

  private void check(CpuSequence sequence, int tokens, int token) {
    if (token < 0 || token >= vocabSize()) {
      throw new IllegalArgumentException(
          "token id " + token + ": the vocabulary has " + vocabSize() + " tokens");
    }
    if (tokens > contextLength() - sequence.length()) {
      throw new IllegalArgumentException(
          tokens + " tokens after " + sequence.length() + ": the context holds " + contextLength());
    }
  }

  private void requireOpen() {
    if (closed) {
      throw new IllegalStateException("the engine is closed");
    }
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      operations.close();
      arena.close();
      weights.close();
    }
  }
}
