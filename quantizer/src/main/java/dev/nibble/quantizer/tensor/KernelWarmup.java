package dev.nibble.quantizer.tensor;

/**
 * Has kernels compiled. Vector code that is interpreted allocates an object an operation; a first
 * token through it would take seconds. So plain loops work until {@link #compiled} says yes, while
 * a thread repeats the kernels on a sample, which is what makes the JIT compiler take them up.
 */
final class KernelWarmup implements AutoCloseable {
  /** A sample takes microseconds compiled, milliseconds before. */
  private static final long FAST_NANOS = 60_000;

  private static final int FAST_CALLS = 3;

  /** After this long the kernels are used as they are: something keeps the compiler from them. */
  private static final long PATIENCE_NANOS = 20_000_000_000L;

  private final String name;
  private final Runnable sample;
  private long workLeft;
  private boolean started;
  private volatile boolean done;
  private volatile boolean closed;

  /**
   * Starts nothing yet.
   *
   * @param name of the kernels, for the thread's name
   * @param sample runs them on a little data, from a thread of its own
   * @param patience multiplications done without them before compiling them is worth while
   */
  KernelWarmup(String name, Runnable sample, long patience) {
    this.name = name;
    this.sample = sample;
    workLeft = patience;
  }

  /**
   * Whether the kernels are compiled. If not, the caller is about to do the work without them.
   *
   * @param work multiplications
   */
  boolean compiled(long work) {
    if (done) {
      return true;
    }
    workLeft -= work;
    if (!started && workLeft < 0) {
      started = true;
      Thread thread = new Thread(this::run, "nibble-warmup-" + name);
      thread.setDaemon(true);
      thread.start();
    }
    return false;
  }

  private void run() {
    try {
      repeat();
    } catch (IllegalStateException e) {
      // The weights' memory was closed: nobody waits for these kernels any more.
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
