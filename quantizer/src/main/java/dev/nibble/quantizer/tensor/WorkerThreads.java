package dev.nibble.quantizer.tensor;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * A fixed set of daemon threads that share the items of one task at a time. Dispatching allocates
 * nothing when the task is an object made once: give it its operands through fields, call {@link
 * #run}, and read the results after it returns.
 *
 * <p>Which thread computes an item is left to chance, so an item's result must not depend on its
 * neighbours; then the number of threads changes no bit. A thread that the operating system does
 * not run holds nobody up: the others take its items. Idle threads spin for a moment, as the next
 * task of a decode step is microseconds away, and then sleep.
 *
 * <p>One thread drives an instance; tasks do not call it.
 */
public final class WorkerThreads implements AutoCloseable {
  /** Work on a range of items. */
  @FunctionalInterface
  public interface RangeTask {
    /**
     * Computes some items.
     *
     * @param from first item
     * @param to one past the last
     * @param worker who computes them, 0 to threads - 1: each has scratch memory of its own
     */
    void run(int from, int to, int worker);
  }

  private static final long SPIN_NANOS = 50_000;
  private static final int SPINS_A_LOOK = 32;
  private static final int CHUNKS_A_THREAD = 4;
  private static final long ITEMS_MASK = 0xffffffffL;
  private static final RangeTask NOTHING = (from, to, worker) -> {};

  private final Worker[] workers;

  /** Number of the task, and in the low half the items of it that nobody has taken yet. */
  private final AtomicLong claim = new AtomicLong();

  private final AtomicInteger done = new AtomicInteger();
  private RangeTask task = NOTHING;
  private long operations;
  private int items;
  private int chunk;
  private volatile @Nullable Thread waiter;
  private volatile @Nullable Throwable failure;
  private volatile boolean closed;

  /**
   * Starts the threads.
   *
   * @param threads how many compute, the caller's included; 1 starts none
   * @throws IllegalArgumentException if there is none
   */
  public WorkerThreads(int threads) {
    if (threads < 1) {
      throw new IllegalArgumentException(threads + " threads: expected at least 1");
    }
    workers = new Worker[threads - 1];
    for (int i = 0; i < workers.length; i++) {
      workers[i] = new Worker(i + 1);
      workers[i].start();
    }
  }

  /**
   * Threads that compute.
   *
   * @return how many, the caller's included
   */
  public int threads() {
    return workers.length + 1;
  }

  /**
   * What the products computed so far come to.
   *
   * @return floating point operations, a multiplication and an addition each
   */
  public long operations() {
    return operations;
  }

  /** Adds multiplications with their additions, for the report: the driving thread calls it. */
  void countProducts(long multiplications) {
    operations += 2 * multiplications;
  }

  /**
   * Computes items 0 to count - 1 on all threads, and returns when they are done.
   *
   * @param count number of items
   * @param work computes ranges of them
   */
  public void run(int count, RangeTask work) {
    if (closed) {
      throw new IllegalStateException("the worker threads are closed");
    }
    if (workers.length == 0 || count <= 1) {
      if (count > 0) {
        work.run(0, count, 0);
      }
      return;
    }
    task = work;
    items = count;
    chunk = Math.ceilDiv(count, threads() * CHUNKS_A_THREAD);
    done.set(0);
    long number = (claim.get() >>> Integer.SIZE) + 1;
    claim.set(number << Integer.SIZE | count);
    for (Worker worker : workers) {
      if (worker.asleep) {
        LockSupport.unpark(worker);
      }
    }
    takePart(0);
    await(count);
    task = NOTHING;
    Throwable thrown = failure;
    if (thrown != null) {
      failure = null;
      switch (thrown) {
        case RuntimeException e -> throw e;
        case Error e -> throw e;
        default -> throw new IllegalStateException(thrown);
      }
    }
  }

  /**
   * Takes chunks until none is left. The claim is read before the task's fields and swapped after
   * them: the swap fails if they belong to a later task.
   */
  private void takePart(int worker) {
    while (true) {
      long seen = claim.get();
      int left = (int) (seen & ITEMS_MASK);
      if (left == 0) {
        return;
      }
      RangeTask work = task;
      int from = items - left;
      int taken = Math.min(chunk, left);
      if (claim.compareAndSet(seen, seen - taken)) {
        try {
          work.run(from, from + taken, worker);
        } catch (RuntimeException | Error e) {
          failure = e;
        }
        if (done.addAndGet(taken) == from + left) {
          LockSupport.unpark(waiter);
        }
      }
    }
  }

  private void await(int count) {
    if (spinsUntil(count)) {
      return;
    }
    waiter = Thread.currentThread();
    while (done.get() != count) {
      LockSupport.park(this);
    }
    waiter = null;
  }

  private boolean spinsUntil(int count) {
    long start = System.nanoTime();
    do {
      for (int i = 0; i < SPINS_A_LOOK; i++) {
        if (done.get() == count) {
          return true;
        }
        Thread.onSpinWait();
      }
    } while (System.nanoTime() - start < SPIN_NANOS);
    return false;
  }

  private boolean hasItems() {
    return (claim.get() & ITEMS_MASK) != 0;
  }

  /** Ends the threads; closing twice does nothing. */
  @Override
  public void close() {
    closed = true;
    for (Worker worker : workers) {
      LockSupport.unpark(worker);
    }
    boolean interrupted = false;
    for (Worker worker : workers) {
      while (worker.isAlive()) {
        try {
          worker.join();
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private final class Worker extends Thread {
    private final int number;
    private volatile boolean asleep;

    Worker(int number) {
      super("nibble-worker-" + number);
      this.number = number;
      setDaemon(true);
    }

    @Override
    public void run() {
      while (!closed) {
        takePart(number);
        awaitItems();
      }
    }

    private void awaitItems() {
      long start = System.nanoTime();
      do {
        for (int i = 0; i < SPINS_A_LOOK; i++) {
          if (hasItems()) {
            return;
          }
          Thread.onSpinWait();
        }
      } while (System.nanoTime() - start < SPIN_NANOS);
      asleep = true;
      while (!hasItems() && !closed) {
        LockSupport.park(WorkerThreads.this);
      }
      asleep = false;
    }
  }
}
