package dev.nibble.runtime.engine;

import dev.nibble.runtime.cache.KvCache;

/** A sequence of a {@link CpuEngine}: a cache that is its own while open, and a sampler. */
final class CpuSequence implements Sequence {
  private final CpuEngine engine;
  private final KvCache cache;
  private final int[] history;
  private final Sampler sampler;
  private boolean open = true;

  CpuSequence(CpuEngine engine, KvCache cache, Sampler sampler) {
    this.engine = engine;
    this.cache = cache;
    this.sampler = sampler;
    history = new int[cache.capacity()];
    cache.setLength(0);
  }

  boolean isOpen() {
    return open;
  }

  boolean belongsTo(CpuEngine owner) {
    return engine == owner;
  }

  KvCache cache() {
    return cache;
  }

  /** Notes a token whose keys and values are in the cache now. */
  void append(int token) {
    history[cache.length()] = token;
    cache.setLength(cache.length() + 1);
  }

  int sample(float[] logits, int offset) {
    return sampler.sample(logits, offset, history, cache.length());
  }

  @Override
  public int length() {
    return open ? cache.length() : 0;
  }

  @Override
  public void sampling(SamplingParameters sampling) {
    sampler.start(sampling);
  }

  @Override
  public void truncate(int length) {
    if (length < 0 || length > length()) {
      throw new IllegalArgumentException(
          "length " + length + ": the sequence has " + length() + " tokens");
    }
    cache.setLength(length);
  }

  @Override
  public void close() {
    if (open) {
      open = false;
      engine.release(cache);
    }
  }
}
