package dev.nibble.bench;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.runtime.engine.Engine;
import dev.nibble.runtime.engine.SamplingParameters;
import dev.nibble.runtime.engine.Sequence;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** Opens the checkpoint that comes with the project and makes an engine of it on the CPU. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(
    value = 3,
    jvmArgsAppend = {"--add-modules=jdk.incubator.vector", "-XX:+UseSerialGC"})
public class ModelLoading {
  private static final ModelOptions OPTIONS = ModelOptions.DEFAULT.withContextLength(64);

  /**
   * From closed files to an engine that is ready, and back.
   *
   * @return bytes of its weights
   * @throws IOException if the files cannot be read
   */
  @Benchmark
  public long load() throws IOException {
    try (Engine engine = engine()) {
      return engine.memory().weightBytes();
    }
  }

  private static Engine engine() throws IOException {
    return Engine.create(
        ModelWeights.of(Checkpoint.open(SourceTree.model())), Device.cpu(), OPTIONS);
  }

  /** The first token that a loaded engine chooses after a prompt. */
  static int firstToken(int... prompt) throws IOException {
    try (Engine engine = engine();
        Sequence sequence = engine.open(SamplingParameters.GREEDY)) {
      return engine.prefill(sequence, prompt);
    }
  }
}
