package dev.nibble.runtime.engine;

/** A sequence of a {@link CudaEngine}: a block of device memory that is its own while open. */
final class CudaSequence implements Sequence {
  /** What a draw of SplittableRandom moves its state by. */
  private static final long GAMMA = 0x9e3779b97f4a7c15L;

  private final CudaEngine engine;
  private final int slot;
  private final long block;
  private final int[] history;
  private final Sampler sampler;
  private SamplingParameters parameters = SamplingParameters.GREEDY;
  private long random;
  private int length;
  private long lastStep;
  private boolean open = true;

  CudaSequence(CudaEngine engine, int slot, long block, int capacity, Sampler sampler) {
    this.engine = engine;
    this.slot = slot;
    this.block = block;
    this.sampler = sampler;
    history = new int[capacity];
  }

  boolean isOpen() {
    return open;
  }

  boolean belongsTo(CudaEngine owner) {
    return engine == owner;
  }

  /** Which of the engine's blocks it has. */
  int slot() {
    return slot;
  }

  /** Device address of its keys and values. */
  long block() {
    return block;
  }

  /** Takes part in a step; false if it does already. */
  boolean join(long step) {
    boolean first = lastStep != step;
    lastStep = step;
    return first;
  }

  SamplingParameters parameters() {
    return parameters;
  }

  /** State of the random numbers. */
  long random() {
    return random;
  }

  /** Whether the device cannot sample it: penalties need all its tokens. */
  boolean isSampledByHost() {
    return parameters.repetitionPenalty() != 1f;
  }

  /** Whether it takes no more tokens. */
  boolean isFull() {
    return length == history.length;
  }

  /** Notes that the device has drawn a token. */
  void drawn() {
    if (parameters.temperature() != 0f) {
      random += GAMMA;
    }
  }

  /** Chooses a token here. */
  int sample(float[] logits) {
    return sampler.sample(logits, 0, history, length);
  }

  /** Notes a token whose keys and values are in the cache now. */
  void append(int token) {
    history[length++] = token;
  }

  @Override
  public int length() {
    return open ? length : 0;
  }

  @Override
  public void sampling(SamplingParameters sampling) {
    parameters = sampling;
    random = sampling.seed();
    sampler.start(sampling);
  }

  @Override
  public void truncate(int kept) {
    if (kept < 0 || kept > length()) {
      throw new IllegalArgumentException(
          "length " + kept + ": the sequence has " + length() + " tokens");
    }
    length = kept;
  }

  @Override
  public void close() {
    if (open) {
      open = false;
      engine.release(slot);
    }
  }
}
