package dev.nibble.runtime.engine;

import dev.nibble.runtime.cuda.Device;
import dev.nibble.runtime.cuda.PinnedBuffer;
import dev.nibble.runtime.cuda.Stream;
import dev.nibble.runtime.kernel.MatrixRows;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Room on the host for an engine's logits. Its pinned part is the device's to free. Not safe for
 * use by several threads.
 */
final class HostLogits {
  private final MatrixRows logits;
  private final int vocabSize;
  private final PinnedBuffer pinned;
  private final float[] values;

  /**
   * Takes the room.
   *
   * @param device of the engine
   * @param logits on the device, float [rows, vocabSize] and padding
   * @param rows of them
   * @param vocabSize floats of a row
   */
  HostLogits(Device device, MatrixRows logits, int rows, int vocabSize) {
    this.logits = logits;
    this.vocabSize = vocabSize;
    pinned = device.allocatePinned(Math.multiplyExact(rows, rowBytes()));
    values = new float[Math.multiplyExact(rows, vocabSize)];
  }

  private long rowBytes() {
    return Math.multiplyExact((long) Float.BYTES, logits.stride());
  }

  /**
   * Copies rows, and waits for them.
   *
   * @param stream that makes them
   * @param row the first
   * @param count of rows
   * @return float [count, vocabSize], valid until the next call
   */
  float[] fetch(Stream stream, int row, int count) {
    long stride = rowBytes();
    logits.data().slice(row * stride, count * stride).download(stream, pinned, 0, count * stride);
    stream.synchronize();
    for (int i = 0; i < count; i++) {
      MemorySegment.copy(
          pinned.segment(), ValueLayout.JAVA_FLOAT, i * stride, values, i * vocabSize, vocabSize);
    }
    return values;
  }
}
