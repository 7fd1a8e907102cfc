package dev.nibble.runtime.engine;

import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.runtime.cuda.CudaException;
import dev.nibble.runtime.cuda.Device;
import dev.nibble.runtime.cuda.DeviceBuffer;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Stream;
import dev.nibble.runtime.kernel.KernelCatalog;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Runs a model on a GPU. Device memory is planned and taken once; decode steps are {@link
 * StepQueue}'s.
 */
final class CudaEngine implements Engine {
  private static final short ONE = Float.floatToFloat16(1f);

  private final Device device;
  private final ModelConfig config;
  private final MemoryPlan plan;
  private final Stream stream;
  private final CudaWorkspace work;
  private final StepInputs promptInputs;
  private final CudaTransformer transformer;
  private final DeviceRange cacheMemory;
  private final long blockBytes;
  private final HostLogits logits;
  private final Sampler.Scratch scratch;
  private final StepQueue stepQueue;
  private final ArrayDeque<Integer> free = new ArrayDeque<>();
  private final CudaSequence[] batch;
  private long steps;
  private boolean closed;

  private CudaEngine(
      ModelWeights weights,
      DeviceContents.Source source,
      ModelOptions options,
      KernelCatalog catalog) {
    device = catalog.device();
    config = weights.config();
    int sequences = options.sequences();
    CudaPlan planned = new CudaPlan(weights, options);
    plan = planned.summary();
    CudaFit.requireMemory(device, planned.bytes(), plan);

    stream = device.newStream();
    planned.allocate(device);
    work = planned.work();
    promptInputs = planned.promptInputs();
    blockBytes = planned.blockBytes();
    cacheMemory = planned.blocks().range();
    DeviceModel model = planned.model();
    logits = new HostLogits(device, work.logits(), work.logitRows(), config.vocabSize());
    scratch = new Sampler.Scratch(config.vocabSize());
    batch = new CudaSequence[sequences];
    for (int slot = 0; slot < sequences; slot++) {
      free.add(slot);
    }

    for (DeviceRange counter : work.counters()) {
      counter.fill(stream, (byte) 0);
    }
    try (DeviceContents contents = source.begin(device, stream, planned.weightBytes())) {
      model.fill(contents);
    }
    requireChecksums(weights);
    CudaKernels kernels = CudaKernels.load(catalog, config, planned.cache(), planned.stage());
    transformer =
        new CudaTransformer(config, stream, kernels, work, planned.cache(), planned.stage(), model);
    sumRows(model);
    stepQueue = new StepQueue(device, stream, transformer, planned.stepInputs(), logits);
  }

  /** What was not sent as it is has not been summed yet. */
  private static void requireChecksums(ModelWeights weights) {
    try {
      weights.memory().requireChecksums();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Makes an engine on a device.
   *
   * @param weights the model, not read any more once this returns
   * @param source of what they hold
   * @param options context and sequences
   * @param kernels of the device, which is closed with the engine, also when this fails
   * @param asked the device as the user names it
   */
  static CudaEngine create(
      ModelWeights weights,
      DeviceContents.Source source,
      ModelOptions options,
      KernelCatalog kernels,
      dev.nibble.runtime.model.Device asked) {
    try {
      CudaFit.require(weights, asked);
      return new CudaEngine(weights, source, options, kernels);
    } catch (RuntimeException | OutOfMemoryError e) {
      closeAfter(kernels.device(), e);
      throw e;
    }
  }

  private static void closeAfter(Device device, Throwable failure) {
    try {
      device.close();
    } catch (CudaException e) {
      failure.addSuppressed(e);
    }
  }

  private void sumRows(DeviceModel model) {
    if (!config.scheme().quantizesActivations()) {
      return;
    }
    int widest = model.linears().stream().mapToInt(DeviceLinear::columns).max().orElseThrow();
    short[] ones = new short[Math.addExact(widest, 128)];
    Arrays.fill(ones, ONE);
    try (DeviceBuffer buffer = device.allocate((long) Short.BYTES * ones.length)) {
      DeviceRange room = DeviceRange.of(buffer);
      try (DeviceUpload upload = DeviceUpload.of(device, stream, room.bytes())) {
        upload.send(MemorySegment.ofArray(ones), room);
      }
      transformer.sumRows(model.linears(), room);
      stream.synchronize();
    }
  }

  @Override
  public String device() {
    return "cuda:" + device.properties().ordinal();
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
    return config.vocabSize();
  }

  @Override
  public MemoryPlan memory() {
    return plan;
  }

  @Override
  public Sequence open(SamplingParameters sampling) {
    requireOpen();
    Integer slot = free.poll();
    if (slot == null) {
      throw new IllegalStateException("all " + maxSequences() + " sequences are open");
    }
    CudaSequence sequence =
        new CudaSequence(
            this,
            slot,
            cacheMemory.address() + blockBytes * slot,
            plan.contextLength(),
            new Sampler(scratch));
    sequence.sampling(sampling);
    return sequence;
  }

  /** Takes a closed sequence's block back. */
  void release(int slot) {
    free.add(slot);
  }

  @Override
  public int prefill(Sequence sequence, int[] tokens) {
    enter();
    CudaSequence own = own(sequence);
    int lastRow = run(own, tokens, null);
    transformer.logits(lastRow, 1);
    return stepQueue.choose(own);
  }

  @Override
  public void append(Sequence sequence, int[] tokens) {
    enter();
    run(own(sequence), tokens, null);
    stream.synchronize();
  }

  @Override
  public void score(Sequence sequence, int[] tokens, LogitsSink sink) {
    enter();
    run(own(sequence), tokens, sink);
  }

  @Override
  public void step(Sequence[] stepped, int count, int[] tokens) {
    enter();
    if (count < 1 || count > batch.length || count > stepped.length || count > tokens.length) {
      throw new IllegalArgumentException("batch of " + count + ": expected 1 to " + batch.length);
    }
    steps++;
    for (int i = 0; i < count; i++) {
      CudaSequence sequence = own(stepped[i]);
      if (!sequence.join(steps)) {
        throw new IllegalArgumentException("sequence " + i + " is in the batch twice");
      }
      check(sequence, 1, tokens[i]);
      batch[i] = sequence;
    }
    stepQueue.step(batch, count, tokens);
  }

  @Override
  public long waitedNanos() {
    return stepQueue.waitedNanos();
  }

  @Override
  public void awaitIdle() {
    enter();
    stream.synchronize();
  }

  private DeviceRange blockOf(CudaSequence sequence) {
    return cacheMemory.slice(blockBytes * sequence.slot(), blockBytes);
  }

  /** Runs tokens in chunks. Returns the row of the workspace that the last one is in. */
  private int run(CudaSequence sequence, int[] tokens, @Nullable LogitsSink sink) {
    if (tokens.length == 0) {
      throw new IllegalArgumentException("no tokens");
    }
    for (int token : tokens) {
      check(sequence, tokens.length, token);
    }
    stepQueue.forget();
    DeviceRange block = blockOf(sequence);
    int rows = 0;
    for (int first = 0; first < tokens.length; first += rows) {
      if (first > 0) {
        // The inputs of the chunk before must have been read.
        stream.synchronize();
      }
      rows = Math.min(Math.min(CudaPlan.CHUNK, work.rows()), tokens.length - first);
      int position = sequence.length();
      for (int i = 0; i < rows; i++) {
        promptInputs.set(i, block.address(), tokens[first + i], position + i);
      }
      promptInputs.send(stream);
      transformer.prefill(promptInputs, rows, position, block);
      for (int i = 0; i < rows; i++) {
        sequence.append(tokens[first + i]);
      }
      if (sink != null) {
        score(sequence, first, rows, sink);
      }
    }
    return rows - 1;
  }

  private void score(CudaSequence sequence, int firstToken, int rows, LogitsSink sink) {
    int firstPosition = sequence.length() - rows;
    for (int row = 0; row < rows; row += work.logitRows()) {
      int count = Math.min(work.logitRows(), rows - row);
      transformer.logits(row, count);
      float[] values = logits.fetch(stream, 0, count);
      for (int i = 0; i < count; i++) {
        Sampler.requireFinite(values, i * vocabSize(), vocabSize(), firstPosition + row + i);
      }
      sink.accept(firstToken + row, count, values);
    }
  }

  private CudaSequence own(Sequence sequence) {
    requireOpen();
    if (!(sequence instanceof CudaSequence own) || !own.belongsTo(this)) {
      throw new IllegalArgumentException("a sequence of another engine");
    }
    if (!own.isOpen()) {
      throw new IllegalStateException("the sequence is closed");
    }
    return own;
  }

  private void check(CudaSequence sequence, int tokens, int token) {
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

  /** Lets the calling thread use the device; each call of an engine may come from another. */
  private void enter() {
    requireOpen();
    device.makeCurrent();
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      device.close();
    }
  }
}
