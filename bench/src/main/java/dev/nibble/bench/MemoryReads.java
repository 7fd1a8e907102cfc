package dev.nibble.bench;

import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Threads;
import org.openjdk.jmh.annotations.Warmup;

/**
 * A plain read of memory by every core at once: the ceiling of the CPU's products. A call reads
 * {@value #BYTES} bytes; JMH adds the threads' calls up.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(
    value = 3,
    jvmArgsAppend = {"-XX:+UseSerialGC"})
@Threads(Threads.MAX)
@SuppressWarnings("NullAway.Init") // JMH calls open() first
public class MemoryReads {
  /** Of a thread; more than its share of any cache. */
  public static final int BYTES = 256 << 20;

  private static final long SEED = 11;

  private long[] data;

  /** Makes the data, random as some memories are faster with zeros. */
  @Setup
  public void open() {
    SplittableRandom random = new SplittableRandom(SEED);
    data = new long[BYTES / Long.BYTES];
    for (int i = 0; i < data.length; i++) {
      data[i] = random.nextLong();
    }
  }

  long[] data() {
    return data;
  }

  /**
   * The read.
   *
   * @return the sum
   */
  @Benchmark
  public long sum() {
    long sum = 0;
    for (long value : data) {
      sum += value;
    }
    return sum;
  }
}
