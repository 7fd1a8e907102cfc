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
 * are negative is idle. All of it travels in one copy; the device itself moves rows on by the
 * tokens that it chooses, and {@link #areThere} tells whether a copy is needed.
 */
final class StepInputs {
  private static final int IDLE = -1;

  private final int rows;
  private final long tokensAt;
  private final long positionsAt;
  private final DevicePlan.Piece piece;

  /** What the device's copy holds. */
  private final MemorySegment there;

  private @Nullable PinnedBuffer staging;

  StepInputs(DevicePlan plan, int rows) {
    this.rows = rows;
    long parametersAt = (long) Long.BYTES * rows;
    tokensAt = parametersAt + (long) TokenSampler.PARAMETERS_BYTES * rows;
    positionsAt = tokensAt + (long) Integer.BYTES * rows;
    piece = plan.reserve(positionsAt + (long) Integer.BYTES * rows);
    there = MemorySegment.ofArray(new long[Math.toIntExact(piece.bytes() / Long.BYTES)]);
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
    set(host(), row, cache, token, position);
  }

  /** Sets a row to a sequence's token, which one that its rules choose is to follow. */
  void set(int row, CudaSequence sequence, int token, int position) {
    set(host(), row, sequence, token, position);
  }

  /** Notes that the device has moved a row on to a token that it chose. */
  void moved(int row, CudaSequence sequence, int token, int position) {
    set(there, row, sequence, token, position);
  }

  private void set(MemorySegment target, int row, CudaSequence sequence, int token, int position) {
    set(target, row, sequence.block(), token, position);
    SamplingParameters parameters = sequence.parameters();
    TokenSampler.write(
        target,
        (long) Long.BYTES * rows + (long) TokenSampler.PARAMETERS_BYTES * row,
        sequence.random(),
        parameters.temperature(),
        parameters.topK(),
        parameters.topP(),
        parameters.minP());
  }

  private void set(MemorySegment target, int row, long cache, int token, int position) {
    target.set(ValueLayout.JAVA_LONG, (long) Long.BYTES * row, cache);
    target.set(ValueLayout.JAVA_INT, tokensAt + (long) Integer.BYTES * row, token);
    target.set(ValueLayout.JAVA_INT, positionsAt + (long) Integer.BYTES * row, position);
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
    there.copyFrom(host());
  }

  /** Whether the device's copy is what is set, if all that the device moved was noted. */
  boolean areThere() {
    return there.mismatch(host()) < 0;
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
