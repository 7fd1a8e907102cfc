package dev.nibble.bench.suite;

import dev.nibble.bench.Gemv;
import dev.nibble.bench.LinearShape;
import dev.nibble.bench.MemoryReads;
import dev.nibble.bench.TokenizerSpeed;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Work;
import java.io.IOException;
import java.util.Map;
import java.util.Optional;

/** What each benchmark's score tells. */
enum JmhSubject {
  FOREIGN_CALLS("ForeignCalls", false),
  DRIVER_CALLS("DriverCalls", true),
  LAUNCHES("Launches", true),
  MEMORY_READS("MemoryReads", false),
  GEMV("Gemv", false),
  GEMM("Gemm", false),
  DECODE_STEP("DecodeStep", false),
  TOKENIZER_SPEED("TokenizerSpeed", false),
  MODEL_LOADING("ModelLoading", false);

  private final String benchmark;
  private final boolean needsGpu;

  JmhSubject(String benchmark, boolean needsGpu) {
    this.benchmark = benchmark;
    this.needsGpu = needsGpu;
  }

  static JmhSubject of(String benchmark) {
    for (JmhSubject subject : values()) {
      if (subject.benchmark.equals(benchmark)) {
        return subject;
      }
    }
    throw new IllegalArgumentException("benchmark '" + benchmark + "': no such class");
  }

  boolean needsGpu() {
    return needsGpu;
  }

  /**
   * A score.
   *
   * @param kind what it tells
   * @param name of what was measured
   * @param work of one call
   * @param unit that the score is given in, if not JMH's own
   * @param factor from JMH's unit to that
   */
  record Figure(Kind kind, String name, Work work, Optional<String> unit, double factor) {
    Figure(Kind kind, String name, Work work) {
      this(kind, name, work, Optional.empty(), 1);
    }
  }

  /**
   * Explains a score.
   *
   * @param method that was run
   * @param parameters that it was run with
   */
  Figure figure(String method, Map<String, String> parameters) throws IOException {
    return switch (this) {
      case FOREIGN_CALLS, DRIVER_CALLS, LAUNCHES ->
          new Figure(Kind.CALL, benchmark + "." + method, Work.NONE);
      case MEMORY_READS ->
          new Figure(Kind.CEILING, "read", Work.NONE, Optional.of("GB/s"), MemoryReads.BYTES / 1e9);
      case GEMV -> new Figure(Kind.KERNEL, "gemv", gemv(parameters));
      case GEMM -> new Figure(Kind.KERNEL, "gemm." + method, Work.NONE);
      case DECODE_STEP -> new Figure(Kind.KERNEL, "decode_step", Work.NONE);
      case TOKENIZER_SPEED ->
          new Figure(Kind.KERNEL, "tokenizer." + method, new Work(TokenizerSpeed.textBytes(), 0));
      case MODEL_LOADING -> new Figure(Kind.KERNEL, "load", Work.NONE);
    };
  }

  private static Work gemv(Map<String, String> parameters) {
    LinearShape shape = LinearShape.of(parameters.getOrDefault("shape", ""));
    int bits = Integer.parseInt(parameters.getOrDefault("bits", ""));
    return new Work(Gemv.weightBytes(bits, shape), 2L * shape.rows() * shape.columns());
  }
}
