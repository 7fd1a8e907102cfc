package dev.nibble.runtime.cli;

import java.io.IOException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Lets SIGINT and SIGTERM end a command's work in an orderly way. */
final class Interruption {
  private static final long GRACE_SECONDS = 5;

  private Interruption() {}

  /** Work that may take long. */
  @FunctionalInterface
  interface Work<T> {
    T run() throws IOException;
  }

  /**
   * Works. On a signal the JVM asks the work to stop, and gives it time to write what it has before
   * the process goes, with the signal's exit code.
   *
   * @param stop makes the work return soon; runs on a thread of the JVM's
   * @param work what to do
   * @return the work's result
   */
  static <T> T allowing(Runnable stop, Work<T> work) throws IOException {
    CountDownLatch finished = new CountDownLatch(1);
    Thread hook =
        new Thread(
            () -> {
              stop.run();
              await(finished);
            },
            "interruption");
    Runtime.getRuntime().addShutdownHook(hook);
    try {
      return work.run();
    } finally {
      finished.countDown();
      forget(hook);
    }
  }

  private static void await(CountDownLatch finished) {
    try {
      // After that the JVM goes all the same.
      boolean unused = finished.await(GRACE_SECONDS, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static void forget(Thread hook) {
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException e) {
      // The JVM is going down, and is free to now.
    }
  }
}
