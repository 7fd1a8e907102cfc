package dev.nibble.runtime.engine;

import dev.nibble.quantizer.tensor.WeightMatrix;
import dev.nibble.runtime.cuda.Device;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Event;
import dev.nibble.runtime.cuda.PinnedBuffer;
import dev.nibble.runtime.cuda.Stream;
import dev.nibble.runtime.model.ModelWeights;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * Streams bytes to a device through pinned buffers: while some are on their way, threads fill
 * others, and sum what they copy for its checksum, so that bytes are read once. The driver never
 * sees a mapped file, whose end might be gone.
 */
final class DeviceUpload implements DeviceContents {
  private static final long MOST_BYTES = 2 << 20;
  private static final long LEAST_BYTES = 4 << 10;
  private static final int MOST_BUFFERS = 16;
  private static final int MOST_THREADS = 8;

  /** What is copied and then summed stays near a core meanwhile. */
  private static final long NEAR_BYTES = 128 << 10;

  private static final int LINE_BYTES = 64;

  private final Stream stream;
  private final ModelWeights.Memory memory;
  private final long bufferBytes;
  private final Buffer[] buffers;
  private final @Nullable ExecutorService threads;
  private int begun;
  private int sent;

  private DeviceUpload(Device device, Stream stream, long bytes, ModelWeights.Memory memory) {
    this.stream = stream;
    this.memory = memory;
    bufferBytes = Math.clamp(bytes, LEAST_BYTES, MOST_BYTES);
    buffers = new Buffer[Math.clamp(Math.ceilDiv(bytes, bufferBytes), 2, MOST_BUFFERS)];
    for (int i = 0; i < buffers.length; i++) {
      buffers[i] =
          new Buffer(device.allocatePinned(bufferBytes), device.newEvent(Event.Timing.NONE));
    }
    threads =
        buffers.length == 2
            ? null
            : Executors.newFixedThreadPool(
                Math.min(MOST_THREADS, Runtime.getRuntime().availableProcessors()),
                Thread.ofPlatform().daemon().name("nibble-upload-", 0).factory());
  }

  /**
   * Takes the pinned buffers.
   *
   * @param bytes how much there is to send, about
   */
  static DeviceUpload of(Device device, Stream stream, long bytes) {
    return of(device, stream, bytes, () -> {});
  }

  /**
   * Takes the pinned buffers.
   *
   * @param bytes how much there is to send, about
   * @param memory of the weights, told the checksum of each tensor that was sent whole
   */
  static DeviceUpload of(Device device, Stream stream, long bytes, ModelWeights.Memory memory) {
    return new DeviceUpload(device, stream, bytes, memory);
  }

  /** A tensor on its way. */
  private static final class Tensor {
    private final MemorySegment source;
    private int checksum;
    private long summed;

    Tensor(MemorySegment source) {
      this.source = source;
    }
  }

  /** A part of a tensor in a buffer. */
  private static final class Piece {
    private final Tensor tensor;
    private final MemorySegment source;
    private final long at;
    private final DeviceRange target;
    private int checksum;

    Piece(Tensor tensor, MemorySegment source, long at, DeviceRange target) {
      this.tensor = tensor;
      this.source = source;
      this.at = at;
      this.target = target;
    }

    /** Copies it, and sums what may have a checksum. */
    private void copyTo(MemorySegment staging) {
      CRC32C crc = new CRC32C();
      long bytes = source.byteSize();
      for (long from = 0; from < bytes; from += NEAR_BYTES) {
        long length = Math.min(NEAR_BYTES, bytes - from);
        MemorySegment copied = staging.asSlice(at + from, length);
        MemorySegment.copy(source, from, copied, 0, length);
        if (source.isNative()) {
          crc.update(copied.asByteBuffer());
        }
      }
      checksum = (int) crc.getValue();
    }
  }

  private static final class Buffer {
    private final PinnedBuffer staging;
    private final Event arrived;
    private final List<Piece> pieces = new ArrayList<>();
    private long filled;
    private @Nullable Future<?> filling;
    private boolean used;

    Buffer(PinnedBuffer staging, Event arrived) {
      this.staging = staging;
      this.arrived = arrived;
    }

    void fill() {
      MemorySegment segment = staging.segment();
      for (Piece piece : pieces) {
        piece.copyTo(segment);
      }
    }
  }

  /** The source must stay as it is until {@link #flush} or {@link #close} returns. */
  @Override
  public void send(MemorySegment source, DeviceRange target) {
    Tensor tensor = new Tensor(source);
    for (long at = 0; at < source.byteSize(); ) {
      Buffer buffer = buffers[begun % buffers.length];
      if (buffer.filled == bufferBytes) {
        turn();
        continue;
      }
      long length = Math.min(source.byteSize() - at, bufferBytes - buffer.filled);
      buffer.pieces.add(
          new Piece(tensor, source.asSlice(at, length), buffer.filled, target.slice(at, length)));
      buffer.filled =
          Math.min(bufferBytes, Math.ceilDiv(buffer.filled + length, LINE_BYTES) * LINE_BYTES);
      at += length;
    }
  }

  @Override
  public void codes(WeightMatrix.Packed weights, DeviceRange target) {
    send(weights.qweight(), target);
  }

  @Override
  public void scales(WeightMatrix.Packed weights, DeviceRange target) {
    send(weights.scales(), target);
  }

  @Override
  public void zeros(WeightMatrix.Packed weights, DeviceRange target) {
    MemorySegment zeros = weights.zeros();
    if (zeros != null) {
      send(zeros, target);
    }
  }

  @Override
  public void dense(WeightMatrix.Dense weights, DeviceRange target) {
    send(weights.data(), target);
  }

  /**
   * Has the buffer filled, and waits until the next one is free. Half of them may be on the way.
   */
  private void turn() {
    Buffer full = buffers[begun % buffers.length];
    if (threads == null) {
      full.fill();
    } else {
      full.filling = threads.submit(full::fill);
    }
    begun++;
    while (begun - sent > buffers.length / 2) {
      sendOldest();
    }
    Buffer next = buffers[begun % buffers.length];
    if (next.used) {
      next.arrived.synchronize();
    }
  }

  private void sendOldest() {
    Buffer buffer = buffers[sent % buffers.length];
    await(buffer.filling);
    for (Piece piece : buffer.pieces) {
      piece.target.upload(stream, buffer.staging, piece.at, piece.source.byteSize());
      sum(piece);
    }
    stream.record(buffer.arrived);
    buffer.pieces.clear();
    buffer.filled = 0;
    buffer.filling = null;
    buffer.used = true;
    sent++;
  }

  private void sum(Piece piece) {
    Tensor tensor = piece.tensor;
    long bytes = piece.source.byteSize();
    tensor.checksum =
        bytes == tensor.source.byteSize()
            ? piece.checksum
            : ChecksumJoin.join(tensor.checksum, piece.checksum, bytes);
    tensor.summed += bytes;
    if (tensor.source.isNative() && tensor.summed == tensor.source.byteSize()) {
      try {
        memory.wasRead(tensor.source, tensor.checksum);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  private static void await(@Nullable Future<?> filling) {
    if (filling == null) {
      return;
    }
    try {
      filling.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while a model was loaded", e);
    } catch (ExecutionException e) {
      switch (e.getCause()) {
        case RuntimeException failure -> throw failure;
        case Error failure -> throw failure;
        case null, default -> throw new IllegalStateException(e);
      }
    }
  }

  /** Enqueues all that was sent so far. */
  void flush() {
    if (buffers[begun % buffers.length].filled > 0) {
      turn();
    }
    while (sent < begun) {
      sendOldest();
    }
  }

  /** Waits until all has arrived. */
  @Override
  public void close() {
    try {
      flush();
      stream.synchronize();
      for (Buffer buffer : buffers) {
        buffer.arrived.close();
        buffer.staging.close();
      }
    } finally {
      if (threads != null) {
        threads.close();
      }
    }
  }
}
