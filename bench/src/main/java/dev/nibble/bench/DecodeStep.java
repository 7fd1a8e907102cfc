package dev.nibble.bench;

import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.engine.Engine;
import dev.nibble.runtime.engine.SamplingParameters;
import dev.nibble.runtime.engine.Sequence;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.util.Arrays;
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

/**
 * One decode step of a small model on the CPU, between {@value #FIRST_POSITION} and {@value
 * #CONTEXT} tokens in. With {@code -prof gc} it shows that a step allocates nothing.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 5, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(
    value = 3,
    jvmArgsAppend = {"--add-modules=jdk.incubator.vector", "-XX:+UseSerialGC"})
@SuppressWarnings("NullAway.Init") // JMH calls open() first
public class DecodeStep {
  static final int FIRST_POSITION = 16;
  static final int CONTEXT = 256;

  /** What the random weights are packed to. */
  @Param({"W4A16g128", "W4A8KV4"})
  public String scheme = "W4A16g128";

  /** Sequences of the batch. */
  @Param({"1", "4"})
  public int batch = 1;

  private Engine engine;
  private Sequence[] sequences;
  private int[] tokens;

  /** Fills the caches as far as the first position. */
  @Setup(Level.Trial)
  public void open() {
    engine =
        Engine.create(
            ModelWeights.synthetic("books-8m", QuantScheme.parse(scheme)),
            Device.cpu(),
            ModelOptions.DEFAULT.withContextLength(CONTEXT).withSequences(batch));
    sequences = new Sequence[batch];
    tokens = new int[batch];
    for (int b = 0; b < batch; b++) {
      sequences[b] = engine.open(SamplingParameters.GREEDY);
      int[] prompt = new int[FIRST_POSITION];
      Arrays.setAll(prompt, i -> 7 + i * i);
      prompt[0] = b;
      tokens[b] = engine.prefill(sequences[b], prompt);
    }
  }

  /**
   * A step; at the end of the context it goes back to the beginning.
   *
   * @return the tokens that were chosen
   */
  @Benchmark
  public int[] step() {
    if (sequences[0].length() == CONTEXT) {
      for (Sequence sequence : sequences) {
        sequence.truncate(FIRST_POSITION);
      }
    }
    engine.step(sequences, batch, tokens);
    return tokens;
  }

  /** Closes the engine. */
  @TearDown(Level.Trial)
  public void close() {
    engine.close();
  }
}
