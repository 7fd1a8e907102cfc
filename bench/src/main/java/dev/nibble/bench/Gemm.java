package dev.nibble.bench;

import dev.nibble.quantizer.tensor.FloatGemm;
import dev.nibble.quantizer.tensor.FloatMatrix;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * The products of a calibration step, beside OpenBLAS, in floating point operations a second.
 * OpenBLAS is taken from the system where it is installed; otherwise its benchmark says so and
 * fails.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 5, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(
    value = 3,
    jvmArgsAppend = {
      "--add-modules=jdk.incubator.vector",
      "--enable-native-access=ALL-UNNAMED",
      "-XX:+UseSerialGC"
    })
@SuppressWarnings("NullAway.Init") // JMH calls open() first
public class Gemm {
  /** Output and input channels: those of books-8m, and half the width of a 7B model. */
  @Param({"256x256", "768x256", "256x768", "2048x2048"})
  public String linear = "768x256";

  /** The product: {@code x w^T}, {@code dy w} or {@code dy^T x}. */
  @Param({"forward", "inputs", "weights"})
  public String product = "forward";

  /** Rows of the inputs: four windows of 1024. */
  @Param("4096")
  public int tokens = 4096;

  private WorkerThreads workers;
  private FloatGemm gemm;
  private FloatMatrix left;
  private FloatMatrix right;
  private FloatMatrix result;

  /** Floating point operations done, beside the throughput in calls. */
  @State(Scope.Thread)
  @AuxCounters(AuxCounters.Type.OPERATIONS)
  public static class Operations {
    /** A multiplication and an addition each. */
    public double flops;
  }

  /** Makes random operands. */
  @Setup(Level.Trial)
  public void open() {
    int out = Integer.parseInt(linear.substring(0, linear.indexOf('x')));
    int in = Integer.parseInt(linear.substring(linear.indexOf('x') + 1));
    workers = new WorkerThreads(Runtime.getRuntime().availableProcessors());
    gemm = new FloatGemm(workers);
    Random random = new Random(7);
    FloatMatrix x = random(random, tokens, in);
    FloatMatrix w = random(random, out, in);
    FloatMatrix y = random(random, tokens, out);
    switch (product) {
      case "forward" -> set(x, w.transposed(), y);
      case "inputs" -> set(y, w, x);
      case "weights" -> set(y.transposed(), x, w);
      default -> throw new IllegalArgumentException(product);
    }
  }

  private void set(FloatMatrix a, FloatMatrix b, FloatMatrix c) {
    left = a;
    right = b;
    result = FloatMatrix.of(new float[c.data().length], c.rows(), c.columns());
  }

  private static FloatMatrix random(Random random, int rows, int columns) {
    float[] data = new float[rows * columns];
    for (int i = 0; i < data.length; i++) {
      data[i] = (float) random.nextGaussian();
    }
    return FloatMatrix.of(data, rows, columns);
  }

  FloatMatrix left() {
    return left;
  }

  FloatMatrix right() {
    return right;
  }

  /** Ends the threads. */
  @TearDown(Level.Trial)
  public void close() {
    workers.close();
  }

  /**
   * The project's product.
   *
   * @param operations counts
   * @return the result, for JMH to use
   */
  @Benchmark
  public float[] nibble(Operations operations) {
    gemm.multiply(left, right, result);
    operations.flops += 2.0 * left.rows() * left.columns() * right.columns();
    return result.data();
  }

  /**
   * OpenBLAS's.
   *
   * @param operations counts
   * @return the result, for JMH to use
   */
  @Benchmark
  public float[] openBlas(Operations operations) {
    OpenBlas.multiply(left, right, result);
    operations.flops += 2.0 * left.rows() * left.columns() * right.columns();
    return result.data();
  }
}
