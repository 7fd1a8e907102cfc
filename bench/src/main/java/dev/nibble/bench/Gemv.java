package dev.nibble.bench;

import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.tensor.PreparedMatrix;
import dev.nibble.quantizer.tensor.ScalarOperations;
import dev.nibble.quantizer.tensor.TensorOperations;
import dev.nibble.quantizer.tensor.WeightMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.concurrent.TimeUnit;
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

/** A packed matrix of asymmetric groups of 128 times one vector of floats, on every core. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 5, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(
    value = 3,
    jvmArgsAppend = {"--add-modules=jdk.incubator.vector", "-XX:+UseSerialGC"})
@SuppressWarnings("NullAway.Init") // JMH calls open() first
public class Gemv {
  private static final long SEED = 7;
  private static final int GROUP = 128;

  /** Code width. */
  @Param({"2", "3", "4", "8"})
  public int bits = 4;

  /** A {@link LinearShape}. */
  @Param({"tinyllama-1.1b/gate_up", "llama-2-7b/o"})
  public String shape = "llama-2-7b/o";

  /** Which operations. */
  @Param({"vector", "scalar"})
  public String operations = "vector";

  private Arena arena;
  private TensorOperations provider;
  private WeightMatrix.Packed weights;
  private PreparedMatrix prepared;
  private float[] x;
  private float[] y;

  /** Makes random codes, scales and inputs. */
  @Setup(Level.Trial)
  public void open() {
    arena = Arena.ofShared();
    LinearShape linear = LinearShape.of(shape);
    provider = provider();
    Random random = new Random(SEED);
    PackedLayout layout = layout(bits, linear);
    MemorySegment codes = arena.allocate(layout.qweightBytes(), Long.BYTES);
    for (long i = 0; i < codes.byteSize(); i += Long.BYTES) {
      codes.set(ValueLayout.JAVA_LONG, i, random.nextLong());
    }
    MemorySegment scales = arena.allocate(layout.scaleCount() * Short.BYTES, Short.BYTES);
    MemorySegment zeros = arena.allocate(layout.scaleCount());
    for (long i = 0; i < layout.scaleCount(); i++) {
      short scale = Float.floatToFloat16(random.nextFloat() / linear.columns());
      scales.set(ValueLayout.JAVA_SHORT, i * Short.BYTES, scale);
      zeros.set(ValueLayout.JAVA_BYTE, i, (byte) random.nextInt(1 << bits));
    }
    weights = new WeightMatrix.Packed(layout, codes, scales, zeros);
    prepared = provider.prepare(weights, arena);
    x = new float[linear.columns()];
    y = new float[linear.rows()];
    for (int i = 0; i < x.length; i++) {
      x[i] = (float) random.nextGaussian();
    }
  }

  private TensorOperations provider() {
    return switch (operations) {
      case "vector" -> TensorOperations.best(Runtime.getRuntime().availableProcessors());
      case "scalar" -> new ScalarOperations();
      default -> throw new IllegalArgumentException(operations);
    };
  }

  private static PackedLayout layout(int bits, LinearShape linear) {
    return new PackedLayout(bits, linear.rows(), linear.columns(), GROUP);
  }

  /**
   * What a product reads: codes, scales and zeros.
   *
   * @param bits of a weight
   * @param linear the shape
   * @return bytes
   */
  public static long weightBytes(int bits, LinearShape linear) {
    PackedLayout layout = layout(bits, linear);
    return layout.qweightBytes() + layout.scaleCount() * (Short.BYTES + Byte.BYTES);
  }

  WeightMatrix.Packed weights() {
    return weights;
  }

  float[] x() {
    return x;
  }

  /**
   * The product.
   *
   * @return y
   */
  @Benchmark
  public float[] multiply() {
    provider.matmul(x, 0, 1, prepared, y, 0);
    return y;
  }

  /** Ends the threads and frees the weights. */
  @TearDown(Level.Trial)
  public void close() {
    provider.close();
    arena.close();
  }
}
