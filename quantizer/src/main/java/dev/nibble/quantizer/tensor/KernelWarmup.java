package dev.nibble.quantizer.tensor;

/**
 * Runs a kernel on a sample in the background until the JIT compiler has compiled it. Vector code
 * that is interpreted allocates an object an operation; a first token through it would take
 * seconds. Until {@link #done}, plain loops do the work.
 */
final class KernelWarmup implements AutoCloseable {
  /** A sample takes microseconds compiled, milliseconds before. */
  private static final long FAST_NANOS = 60_000;

  private static final int FAST_CALLS = 3;

  /** After this long the kernels are used as they are: something keeps the compiler from them. */
  private static final long PATIENCE_NANOS = 20_000_000_000L;

  private final Runnable sample;
  private volatile boolean done;
  private volatile boolean closed;

  private KernelWarmup(Runnable sample) {
    this.sample = sample;
  }

  /** Starts a daemon thread. */
  static KernelWarmup start(String name, Runnable sample) {
    KernelWarmup warmup = new KernelWarmup(sample);
    Thread thread = new Thread(warmup::run, "nibble-warmup-" + name);
    thread.setDaemon(true);
    thread.start();
    return warmup;
  }

  /** Whether the kernel is compiled. */
  boolean done() {
    return done;
  }

  private void run() {
    try {
      repeat();
    } catch (IllegalStateException e) {
      // The weights' memory was closed: nobody waits for this kernel any more.
      closed = true;
    }
    done = true;
  }

  private void repeat() {
    long start = System.nanoTime();
    int fast = 0;
    while (!closed && fast < FAST_CALLS) {
      long before = System.nanoTime();
      sample.run();
      long now = System.nanoTime();
      fast = now - before < FAST_NANOS ? fast + 1 : 0;
      if (now - start > PATIENCE_NANOS) {
        return;
      }
    }
  }

  /** Ends the thread after the sample at work. */
  @Override
  public void close() {
    closed = true;
  }
}
