package dev.nibble.quantizer.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
class WorkerThreadsTest {
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 5})
  void computesEachItemOnce(int threads) {
    try (WorkerThreads workers = new WorkerThreads(threads)) {
      int[] visits = new int[301];
      WorkerThreads.RangeTask task =
          (from, to, worker) -> {
            assertTrue(worker >= 0 && worker < threads);
            for (int i = from; i < to; i++) {
              visits[i]++;
            }
          };
      int rounds = 3_000;
      int[] expected = new int[visits.length];
      for (int r = 0; r < rounds; r++) {
        int items = r % (visits.length + 1);
        workers.run(items, task);
        for (int i = 0; i < items; i++) {
          expected[i]++;
        }
        if (r % 1_000 == 0) {
          LockSupport.parkNanos(2_000_000); // until the workers sleep
        }
      }
      assertEquals(Arrays.toString(expected), Arrays.toString(visits));
    }
  }

  @Test
  void sleepingWorkersWakeAndLaterTasksDoNotSeeEarlierOnes() {
    try (WorkerThreads workers = new WorkerThreads(3)) {
      for (int r = 0; r < 200; r++) {
        AtomicInteger sum = new AtomicInteger();
        workers.run(
            r,
            (from, to, worker) -> {
              for (int i = from; i < to; i++) {
                sum.addAndGet(i);
              }
            });
        assertEquals(r * (r - 1) / 2, sum.get());
        if (r % 20 == 0) {
          LockSupport.parkNanos(1_000_000);
        }
      }
    }
  }

  @Test
  void aFailureReachesTheCallerAndTheThreadsGoOn() {
    try (WorkerThreads workers = new WorkerThreads(3)) {
      IllegalStateException failure = new IllegalStateException("item 7");
      IllegalStateException thrown =
          assertThrows(
              IllegalStateException.class,
              () ->
                  workers.run(
                      20,
                      (from, to, worker) -> {
                        if (from <= 7 && 7 < to) {
                          throw failure;
                        }
                      }));
      assertSame(failure, thrown);
      AtomicInteger items = new AtomicInteger();
      workers.run(20, (from, to, worker) -> items.addAndGet(to - from));
      assertEquals(20, items.get());
    }
  }

  @Test
  void closingEndsTheThreads() {
    long before = liveWorkers();
    WorkerThreads workers = new WorkerThreads(3);
    assertEquals(before + 2, liveWorkers());
    workers.close();
    workers.close();
    assertEquals(before, liveWorkers());
    assertThrows(IllegalStateException.class, () -> workers.run(2, (from, to, worker) -> {}));
    assertThrows(IllegalArgumentException.class, () -> new WorkerThreads(0));
    assertFalse(Thread.currentThread().isInterrupted());
  }

  private static long liveWorkers() {
    return Thread.getAllStackTraces().keySet().stream()
        .filter(thread -> thread.getName().startsWith("nibble-worker-"))
        .count();
  }
}
