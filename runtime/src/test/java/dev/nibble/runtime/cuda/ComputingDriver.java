package dev.nibble.runtime.cuda;

import dev.nibble.bindings.cuda.CUlaunchConfig;
import dev.nibble.bindings.cuda.cuda_constants;
import dev.nibble.bindings.kernels.attention_decode_args;
import dev.nibble.bindings.kernels.embedding_args;
import dev.nibble.bindings.kernels.rope_append_args;
import dev.nibble.bindings.kernels.sample_args;
import dev.nibble.bindings.kernels.sample_h;
import dev.nibble.bindings.kernels.sample_parameters;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Queue;
import java.util.function.IntSupplier;
import java.util.function.IntUnaryOperator;

/**
 * A driver whose device does what one step leaves to the next: tokens go into their sequences'
 * caches, and the token chosen depends on all that are there: its logit is 1, others are 0. All
 * streams are one.
 */
final class ComputingDriver extends CapturingDriver {
  /** When work is done. */
  enum Pace {
    /** Once it is waited for, and no more than that. */
    LATE,
    /** At once. */
    IMMEDIATE
  }

  /** One in so many tokens is followed by logits that are not finite. */
  private static final int BAD_TOKENS = 61;

  private static final long GAMMA = 0x9e3779b97f4a7c15L;

  private final Pace pace;
  private final Queue<IntSupplier> pending = new ArrayDeque<>();
  private final Map<Long, Long> events = new HashMap<>();
  private final Map<Long, String> kernels = new HashMap<>();
  private long enqueued;
  private long done;

  /** Addresses that the last launches read. */
  private long tokens;

  private long caches;

  ComputingDriver(Pace pace) {
    super(0x10_0000_0000L);
    this.pace = pace;
  }

  /** As {@link FakeDevice#choice}. */
  static int choice(IntUnaryOperator tokens, int count, long random, int vocab) {
    if (tokens.applyAsInt(count - 1) % BAD_TOKENS == BAD_TOKENS - 1) {
      return sample_h.SAMPLE_NOT_FINITE();
    }
    long hash = random;
    for (int i = 0; i < count; i++) {
      hash = (hash ^ tokens.applyAsInt(i)) * GAMMA;
      hash ^= hash >>> 29;
    }
    return (int) Long.remainderUnsigned(hash, vocab);
  }

  @Override
  int enqueue(IntSupplier operation) {
    pending.add(operation);
    enqueued++;
    return pace == Pace.IMMEDIATE ? doUntil(enqueued) : cuda_constants.CUDA_SUCCESS();
  }

  private int doUntil(long count) {
    int result = cuda_constants.CUDA_SUCCESS();
    while (done < count) {
      done++;
      result = Math.max(result, pending.remove().getAsInt());
    }
    return result;
  }

  private int intAt(long address, long index) {
    return at(address + Integer.BYTES * index, Integer.BYTES).get(ValueLayout.JAVA_INT, 0);
  }

  private long longAt(long address, long index) {
    return at(address + Long.BYTES * index, Long.BYTES).get(ValueLayout.JAVA_LONG, 0);
  }

  private static long pointer(MemorySegment struct, long offset) {
    return struct.get(ValueLayout.JAVA_LONG, offset);
  }

  private int run(String kernel, MemorySegment struct, int rowsX, int rowsY, int rowsZ) {
    if (kernel.equals("embedding")) {
      tokens = pointer(struct, embedding_args.tokens$offset());
    } else if (kernel.startsWith("attention_decode")) {
      caches = pointer(struct, attention_decode_args.caches$offset());
      long positions = pointer(struct, attention_decode_args.positions$offset());
      for (int row = 0; row < rowsZ; row++) {
        append(row, intAt(positions, row), row, attention_decode_args.capacity(struct));
      }
    } else if (kernel.startsWith("rope_append")) {
      caches = pointer(struct, rope_append_args.caches$offset());
      long positions = pointer(struct, rope_append_args.positions$offset());
      for (int row = 0; row < rowsX; row++) {
        append(row, intAt(positions, row), 0, rope_append_args.capacity(struct));
      }
    } else if (kernel.equals("sample")) {
      for (int row = 0; row < rowsY; row++) {
        sample(struct, row);
      }
    }
    return cuda_constants.CUDA_SUCCESS();
  }

  /** Each layer does the same, in the place of the first. */
  private void append(int row, int position, int sequence, long capacity) {
    if (position >= capacity) {
      throw new AssertionError("position " + position + " in a cache of " + capacity);
    }
    if (position >= 0) {
      at(longAt(caches, sequence) + (long) Integer.BYTES * position, Integer.BYTES)
          .set(ValueLayout.JAVA_INT, 0, intAt(tokens, row));
    }
  }

  @SuppressWarnings("restricted")
  private void sample(MemorySegment struct, int row) {
    MemorySegment position =
        at(pointer(struct, sample_args.positions$offset()) + (long) Integer.BYTES * row, 4);
    int last = position.get(ValueLayout.JAVA_INT, 0);
    if (last < 0) {
      return;
    }
    MemorySegment parameters =
        at(
            pointer(struct, sample_args.parameters$offset()) + row * sample_parameters.sizeof(),
            sample_parameters.sizeof());
    long random = 0;
    if (sample_parameters.temperature(parameters) > 0) {
      random = sample_parameters.random(parameters) + GAMMA;
    }
    long cache = longAt(caches, row);
    int token = choice(i -> intAt(cache, i), last + 1, random, sample_args.vocab(struct));
    int results = sample_h.SAMPLE_RESULTS();
    MemorySegment.ofAddress(pointer(struct, sample_args.results$offset()))
        .reinterpret((long) Integer.BYTES * results * (row + 1))
        .setAtIndex(ValueLayout.JAVA_INT, (long) results * row + last % results, token);
    position.set(ValueLayout.JAVA_INT, 0, token < 0 ? -1 : last + 1);
    if (token >= 0) {
      long logits = (long) Float.BYTES * sample_args.logits_stride(struct) * row;
      MemorySegment one =
          at(
              pointer(struct, sample_args.logits$offset()) + logits,
              (long) Float.BYTES * sample_args.vocab(struct));
      one.fill((byte) 0);
      one.setAtIndex(ValueLayout.JAVA_FLOAT, token, 1);
      at(pointer(struct, sample_args.tokens$offset()) + (long) Integer.BYTES * row, 4)
          .set(ValueLayout.JAVA_INT, 0, token);
      if (random != 0) {
        sample_parameters.random(parameters, random);
      }
    }
  }

  @Override
  public int cuMemcpyHtoDAsync(long to, MemorySegment from, long bytes, MemorySegment stream) {
    return add(() -> super.cuMemcpyHtoDAsync(to, from, bytes, stream));
  }

  @Override
  public int cuMemcpyDtoHAsync(MemorySegment to, long from, long bytes, MemorySegment stream) {
    return add(() -> super.cuMemcpyDtoHAsync(to, from, bytes, stream));
  }

  @Override
  public int cuMemcpyDtoDAsync(long to, long from, long bytes, MemorySegment stream) {
    return add(() -> super.cuMemcpyDtoDAsync(to, from, bytes, stream));
  }

  @Override
  public int cuMemsetD8Async(long to, byte value, long bytes, MemorySegment stream) {
    return add(() -> super.cuMemsetD8Async(to, value, bytes, stream));
  }

  @Override
  public int cuLibraryGetKernel(MemorySegment kernel, MemorySegment library, MemorySegment name) {
    int result = super.cuLibraryGetKernel(kernel, library, name);
    kernels.put(kernel.get(ValueLayout.JAVA_LONG, 0), name.getString(0));
    return result;
  }

  @Override
  @SuppressWarnings("restricted")
  public int cuLaunchKernelEx(
      MemorySegment config, MemorySegment function, MemorySegment arguments, MemorySegment extra) {
    String kernel = Objects.requireNonNull(kernels.get(function.address()));
    // The longest struct that is read here.
    long bytes = attention_decode_args.sizeof();
    MemorySegment source =
        arguments
            .reinterpret(ValueLayout.ADDRESS.byteSize())
            .get(ValueLayout.ADDRESS, 0)
            .reinterpret(bytes);
    MemorySegment struct = MemorySegment.ofArray(new long[(int) (bytes / Long.BYTES)]);
    if (kernel.equals("sample")) {
      MemorySegment.copy(source, 0, struct, 0, sample_args.sizeof());
    } else if (kernel.equals("embedding")) {
      MemorySegment.copy(source, 0, struct, 0, embedding_args.sizeof());
    } else if (kernel.startsWith("rope_append")) {
      MemorySegment.copy(source, 0, struct, 0, rope_append_args.sizeof());
    } else if (kernel.startsWith("attention_decode")) {
      MemorySegment.copy(source, 0, struct, 0, bytes);
    }
    int x = CUlaunchConfig.gridDimX(config);
    int y = CUlaunchConfig.gridDimY(config);
    int z = CUlaunchConfig.gridDimZ(config);
    add(() -> run(kernel, struct, x, y, z));
    return super.cuLaunchKernelEx(config, function, arguments, extra);
  }

  @Override
  public int cuEventRecord(MemorySegment event, MemorySegment stream) {
    events.put(event.address(), enqueued);
    return super.cuEventRecord(event, stream);
  }

  @Override
  public int cuEventSynchronize(MemorySegment event) {
    int result = doUntil(Objects.requireNonNull(events.get(event.address())));
    return Math.max(result, super.cuEventSynchronize(event));
  }

  @Override
  public int cuStreamSynchronize(MemorySegment stream) {
    return Math.max(doUntil(enqueued), super.cuStreamSynchronize(stream));
  }

  @Override
  public int cuCtxSynchronize() {
    return Math.max(doUntil(enqueued), super.cuCtxSynchronize());
  }
}
