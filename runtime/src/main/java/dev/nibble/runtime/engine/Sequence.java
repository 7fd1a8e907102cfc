package dev.nibble.runtime.engine;

/**
 * One sequence in an engine: its position, its key-value cache and its sampler. Belongs to the
 * engine that opened it. Not thread-safe.
 */
public interface Sequence extends AutoCloseable {
  /**
   * Tokens in its cache.
   *
   * @return tokens
   */
  int length();

  /**
   * Chooses the following tokens otherwise, and starts the random numbers from the seed.
   *
   * @param sampling how its tokens are chosen
   */
  void sampling(SamplingParameters sampling);

  /**
   * Forgets the tokens from a position on.
   *
   * @param length tokens to keep, at most {@link #length}
   */
  void truncate(int length);

  /** Gives the cache back to the engine; closing twice does nothing. */
  @Override
  void close();
}
