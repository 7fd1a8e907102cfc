package dev.nibble.quantizer.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.PackedLayout;
import java.lang.foreign.Arena;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class KernelWarmupTest {
  @Test
  void startsOnceTheWorkIsWorthIt() throws InterruptedException {
    CountDownLatch ran = new CountDownLatch(1);
    try (KernelWarmup warmup = new KernelWarmup("test", ran::countDown, 10)) {
      assertFalse(warmup.compiled(10));
      assertEquals(1, ran.getCount());
      assertFalse(warmup.compiled(1));
      assertTrue(ran.await(30, TimeUnit.SECONDS));
      awaitCompiled(warmup);
    }
  }

  @Test
  void repeatsASlowSampleUntilItIsFast() throws InterruptedException {
    AtomicInteger calls = new AtomicInteger();
    Runnable sample =
        () -> {
          if (calls.incrementAndGet() <= 5) {
            long end = System.nanoTime() + 1_000_000;
            while (System.nanoTime() < end) {
              Thread.onSpinWait();
            }
          }
        };
    try (KernelWarmup warmup = new KernelWarmup("test", sample, 0)) {
      assertFalse(warmup.compiled(1));
      awaitCompiled(warmup);
    }
    assertTrue(calls.get() >= 8, () -> calls + " calls");
  }

  @Test
  void closedMemoryEndsIt() throws InterruptedException {
    Runnable sample =
        () -> {
          throw new IllegalStateException("Already closed");
        };
    try (KernelWarmup warmup = new KernelWarmup("test", sample, 0)) {
      assertFalse(warmup.compiled(1));
      awaitCompiled(warmup);
    }
  }

  @Test
  void theChangeOfKernelsChangesNoBit() throws InterruptedException {
    Samples samples = new Samples();
    float[] x = samples.floats(5 * 256);
    try (Arena arena = Arena.ofShared();
        WorkerThreads threads = new WorkerThreads(2);
        VectorMatmul matmul = new VectorMatmul(threads)) {
      PreparedMatrix w =
          matmul.prepare(samples.packed(new PackedLayout(4, 96, 256, 64), false), arena);
      float[] before = new float[96];
      float[] after = new float[96];
      matmul.multiply(x, 0, 1, w, before, 0);
      long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(2);
      while (System.nanoTime() < end) {
        matmul.multiply(x, 0, 1, w, after, 0);
        assertArrayEquals(before, after, Samples.seed());
      }
    }
  }

  private static void awaitCompiled(KernelWarmup warmup) throws InterruptedException {
    for (int i = 0; i < 30_000 && !warmup.compiled(0); i++) {
      Thread.sleep(1);
    }
    assertTrue(warmup.compiled(0));
  }
}
