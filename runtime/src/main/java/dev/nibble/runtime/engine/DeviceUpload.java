package dev.nibble.runtime.engine;

import dev.nibble.quantizer.tensor.WeightMatrix;
import dev.nibble.runtime.cuda.Device;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Event;
import dev.nibble.runtime.cuda.PinnedBuffer;
import dev.nibble.runtime.cuda.Stream;
import java.lang.foreign.MemorySegment;

/**
 * Streams bytes to a device through two pinned buffers: while one is on its way, the other is
 * filled. The driver never sees a mapped file, whose end might be gone.
 */
final class DeviceUpload implements DeviceContents {
  private static final int MOST_BYTES = 16 << 20;
  private static final int LEAST_BYTES = 4 << 10;

  private final Stream stream;
  private final long halfBytes;
  private final PinnedBuffer[] staging = new PinnedBuffer[2];
  private final Event[] sent = new Event[2];
  private int next;
  private long filled;

  private DeviceUpload(Device device, Stream stream, long bytes) {
    this.stream = stream;
    halfBytes = Math.clamp(bytes, LEAST_BYTES, MOST_BYTES);
    for (int i = 0; i < staging.length; i++) {
      staging[i] = device.allocatePinned(halfBytes);
      sent[i] = device.newEvent(Event.Timing.NONE);
      stream.record(sent[i]);
    }
  }

  /**
   * Takes the pinned buffers.
   *
   * @param bytes how much there is to send, about
   */
  static DeviceUpload of(Device device, Stream stream, long bytes) {
    return new DeviceUpload(device, stream, bytes);
  }

  /** The source may change or go once this returns. */
  @Override
  public void send(MemorySegment source, DeviceRange target) {
    for (long at = 0; at < source.byteSize(); ) {
      if (filled == halfBytes) {
        turn();
      }
      long length = Math.min(source.byteSize() - at, halfBytes - filled);
      MemorySegment.copy(source, at, staging[next].segment(), filled, length);
      target.slice(at, length).upload(stream, staging[next], filled, length);
      filled = Math.min(halfBytes, Math.ceilDiv(filled + length, 64) * 64);
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

  private void turn() {
    stream.record(sent[next]);
    next = 1 - next;
    sent[next].synchronize();
    filled = 0;
  }

  /** Waits until all has arrived. */
  @Override
  public void close() {
    stream.synchronize();
    for (int i = 0; i < staging.length; i++) {
      sent[i].close();
      staging[i].close();
    }
  }
}
