package dev.nibble.runtime.engine;

import dev.nibble.runtime.cuda.Device;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.PinnedBuffer;
import dev.nibble.runtime.cuda.Stream;
import dev.nibble.runtime.kernel.TokenSampler;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/**
 * What changes from step to step, in pinned memory and its copy on the device: for each row its
 * sequence's cache, how it is sampled, its token and its position. A row whose token and position
 * are negative is idle. All of it travels in one copy, so that a graph can hold it.
 */
final class StepInputs {
  private static final int IDLE = -1;

  private final int rows;
  private final long tokensAt;
  private final long positionsAt;
  private final DevicePlan.Piece piece;
  private @Nullable PinnedBuffer staging;

  StepInputs(DevicePlan plan, int rows) {
    this.rows = rows;
    long parametersAt = (long) Long.BYTES * rows;
    tokensAt = parametersAt + (long) TokenSampler.PARAMETERS_BYTES * rows;
    positionsAt = tokensAt + (long) Integer.BYTES * rows;
    piece = plan.reserve(positionsAt + (long) Integer.BYTES * rows);
  }

  /** Takes the pinned memory. */
  void allocate(Device device) {
    PinnedBuffer pinned = device.allocatePinned(piece.bytes());
    pinned.segment().fill((byte) 0);
    staging = pinned;
    idle(0, rows);
  }

  private MemorySegment host() {
    return pinned().segment();
  }

  private PinnedBuffer pinned() {
    if (staging == null) {
      throw new IllegalStateException("the inputs are not allocated yet");
    }
    return staging;
  }

  int rows() {
    return rows;
  }

  /** Sets a row's token. */
  void set(int row, long cache, int token, int position) {
    host().set(ValueLayout.JAVA_LONG, (long) Long.BYTES * row, cache);
    host().set(ValueLayout.JAVA_INT, tokensAt + (long) Integer.BYTES * row, token);
    host().set(ValueLayout.JAVA_INT, positionsAt + (long) Integer.BYTES * row, position);
  }

  /** Sets how a row is sampled. */
  void sampling(int row, SamplingParameters parameters, long random) {
    TokenSampler.write(
        host(),
        (long) Long.BYTES * rows + (long) TokenSampler.PARAMETERS_BYTES * row,
        random,
        parameters.temperature(),
        parameters.topK(),
        parameters.topP(),
        parameters.minP());
  }

  /** Makes rows idle. */
  void idle(int from, int to) {
    for (int row = from; row < to; row++) {
      set(row, 0, IDLE, IDLE);
    }
  }

  /** Enqueues the copy to the device. */
  void send(Stream stream) {
    piece.range().upload(stream, pinned(), 0, piece.bytes());
  }

  /** Addresses of the sequences' blocks, [rows]. */
  DeviceRange caches() {
    return piece.range().slice(0, (long) Long.BYTES * rows);
  }

  /** How rows are sampled, [rows]. */
  DeviceRange parameters() {
    return piece
        .range()
        .slice((long) Long.BYTES * rows, (long) TokenSampler.PARAMETERS_BYTES * rows);
  }

  /** Tokens, int32 [rows]. */
  DeviceRange tokens() {
    return piece.range().slice(tokensAt, (long) Integer.BYTES * rows);
  }

  /** Positions, int32 [rows]. */
  DeviceRange positions() {
    return piece.range().slice(positionsAt, (long) Integer.BYTES * rows);
  }
}
