package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.sample_args;
import dev.nibble.bindings.kernels.sample_h;
import dev.nibble.bindings.kernels.sample_parameters;
import dev.nibble.runtime.cuda.Device;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Dim3;
import dev.nibble.runtime.cuda.Kernel;
import dev.nibble.runtime.cuda.LaunchConfig;
import dev.nibble.runtime.cuda.PinnedBuffer;
import dev.nibble.runtime.cuda.Stream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Launches sample: the next token of each of some sequences. */
public final class TokenSampler {
  /** Bytes that tell how one row is sampled. */
  public static final int PARAMETERS_BYTES = sample_h.SAMPLE_PARAMETERS_BYTES();

  private static final int PARTIAL_BYTES = 16;

  private final Kernel kernel;
  private final MemorySegment args;
  private final LaunchConfig.Start start;

  /**
   * Loads the kernel.
   *
   * @param kernels of the device
   */
  public TokenSampler(KernelCatalog kernels) {
    kernel = kernels.kernel("sample", "sample");
    args = kernel.newArguments(sample_args.sizeof());
    start = kernels.earliestStart();
  }

  /**
   * Room to sample in.
   *
   * @param partials for the parts of the vocabulary
   * @param arrivals uint32 [rows], zeros at first
   * @param candidates for draws
   */
  public record Scratch(DeviceRange partials, DeviceRange arrivals, DeviceRange candidates) {}

  /**
   * What was chosen, in memory of the host that the kernel writes to: of each row for two positions
   * that follow each other. The memory is the device's to free.
   */
  public static final class Results {
    private final PinnedBuffer memory;
    private final int rows;

    /**
     * Takes the memory.
     *
     * @param device that chooses
     * @param rows most rows
     */
    public Results(Device device, int rows) {
      this.rows = rows;
      memory = device.allocatePinned((long) Integer.BYTES * sample_h.SAMPLE_RESULTS() * rows);
    }

    /**
     * The token that follows a position, once the launch that chose it is done.
     *
     * @param row of the launch
     * @param position of the token before
     * @return the token; negative if the row's logits were not finite
     */
    public int token(int row, int position) {
      int results = sample_h.SAMPLE_RESULTS();
      return memory
          .segment()
          .getAtIndex(ValueLayout.JAVA_INT, (long) row * results + position % results);
    }

    private long require(int needed) {
      if (rows < needed) {
        throw new IllegalArgumentException("results: needs " + needed + " rows, has " + rows);
      }
      return memory.deviceAddress();
    }
  }

  /**
   * Size of {@link Scratch#partials}.
   *
   * @param rows most rows
   * @return bytes
   */
  public static long partialBytes(int rows) {
    return (long) rows * sample_h.SAMPLE_PARTS() * PARTIAL_BYTES;
  }

  /**
   * Size of {@link Scratch#candidates}.
   *
   * @param rows most rows
   * @param vocab logits of a row
   * @return bytes
   */
  public static long candidateBytes(int rows, int vocab) {
    return Long.BYTES * (long) rows * candidates(vocab);
  }

  /**
   * Tells how one row is sampled, without a repetition penalty.
   *
   * @param target receives {@link #PARAMETERS_BYTES}, from the offset on
   * @param offset bytes
   * @param random state of the sequence's random numbers
   * @param temperature 0 for greedy
   * @param topK 0 for all
   * @param topP 1 for all
   * @param minP 0 for none
   */
  public static void write(
      MemorySegment target,
      long offset,
      long random,
      float temperature,
      int topK,
      float topP,
      float minP) {
    target.set(ValueLayout.JAVA_LONG, offset + sample_parameters.random$offset(), random);
    target.set(
        ValueLayout.JAVA_FLOAT, offset + sample_parameters.temperature$offset(), temperature);
    target.set(ValueLayout.JAVA_FLOAT, offset + sample_parameters.top_p$offset(), topP);
    target.set(ValueLayout.JAVA_FLOAT, offset + sample_parameters.min_p$offset(), minP);
    target.set(ValueLayout.JAVA_INT, offset + sample_parameters.top_k$offset(), topK);
  }

  private static long candidates(int vocab) {
    return vocab == 1 ? 1 : Long.highestOneBit(vocab - 1L) << 1;
  }

  /**
   * Enqueues the choice of tokens without a repetition penalty. Asynchronous with respect to the
   * host.
   *
   * @param stream runs it
   * @param logits float [rows, vocab]
   * @param vocab logits of a row
   * @param rows at least 1
   * @param parameters struct sample_parameters [rows]
   * @param positions int32 [rows], moved on by 1; negative for an idle row, which one becomes whose
   *     logits are not finite
   * @param scratch room
   * @param tokens int32 [rows], receives the choice
   * @param results receives it too
   */
  public void launch(
      Stream stream,
      MatrixRows logits,
      int vocab,
      int rows,
      DeviceRange parameters,
      DeviceRange positions,
      Scratch scratch,
      DeviceRange tokens,
      Results results) {
    if (vocab > sample_h.SAMPLE_MAX_VOCAB()) {
      throw new IllegalArgumentException("vocabulary of " + vocab);
    }
    long perRow = (long) Integer.BYTES * rows;
    args.fill((byte) 0);
    StructPointers.set(
        args, sample_args.logits$offset(), logits.require("logits", rows, vocab, Float.BYTES, 1));
    StructPointers.set(
        args,
        sample_args.parameters$offset(),
        parameters.require("parameters", (long) sample_h.SAMPLE_PARAMETERS_BYTES() * rows));
    StructPointers.set(args, sample_args.tokens$offset(), tokens.require("tokens", perRow));
    StructPointers.set(
        args, sample_args.positions$offset(), positions.require("positions", perRow));
    StructPointers.set(args, sample_args.results$offset(), results.require(rows));
    StructPointers.set(
        args,
        sample_args.partials$offset(),
        scratch.partials().require("partials", partialBytes(rows)));
    StructPointers.set(
        args, sample_args.arrivals$offset(), scratch.arrivals().require("arrivals", perRow));
    StructPointers.set(
        args,
        sample_args.candidates$offset(),
        scratch.candidates().require("candidates", candidateBytes(rows, vocab)));
    sample_args.logits_stride(args, logits.stride());
    sample_args.candidates_stride(args, candidates(vocab));
    sample_args.vocab(args, vocab);
    kernel.launch(
        stream,
        new LaunchConfig(
            new Dim3(sample_h.SAMPLE_PARTS(), rows, 1),
            Dim3.of(sample_h.SAMPLE_THREADS()),
            0,
            start),
        args);
  }
}
