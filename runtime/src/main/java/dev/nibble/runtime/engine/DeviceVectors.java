package dev.nibble.runtime.engine;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Small arrays of a model on their way to device memory. */
final class DeviceVectors {
  private final DevicePlan plan;
  private final List<Pending> pending = new ArrayList<>();

  private record Pending(DevicePlan.Piece piece, MemorySegment source) {}

  DeviceVectors(DevicePlan plan) {
    this.plan = plan;
  }

  /** Plans float. */
  DevicePlan.Piece floats(float[] values) {
    return add(MemorySegment.ofArray(values));
  }

  /** Plans float, if there is anything. */
  DevicePlan.@Nullable Piece floats(Optional<float[]> values) {
    return values.map(this::floats).orElse(null);
  }

  /** Plans int32. */
  DevicePlan.Piece ints(int[] values) {
    return add(MemorySegment.ofArray(values));
  }

  /** Plans uint16. */
  DevicePlan.Piece shorts(int[]... rows) {
    short[] values = new short[rows.length * rows[0].length];
    int at = 0;
    for (int[] row : rows) {
      for (int value : row) {
        values[at++] = (short) value;
      }
    }
    return add(MemorySegment.ofArray(values));
  }

  private DevicePlan.Piece add(MemorySegment source) {
    DevicePlan.Piece piece = plan.reserve(source.byteSize());
    pending.add(new Pending(piece, source));
    return piece;
  }

  /** Fills the memory. */
  void fill(DeviceContents contents) {
    for (Pending one : pending) {
      contents.send(one.source, one.piece.range());
    }
    pending.clear();
  }
}
