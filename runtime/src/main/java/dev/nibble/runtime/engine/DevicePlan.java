package dev.nibble.runtime.engine;

import dev.nibble.runtime.cuda.Device;
import dev.nibble.runtime.cuda.DeviceBuffer;
import dev.nibble.runtime.cuda.DeviceRange;
import org.jspecify.annotations.Nullable;

/**
 * Device memory, planned piece by piece and then allocated at once. A piece is known by its {@link
 * Piece} from the start, and has an address once the plan is allocated.
 */
final class DevicePlan {
  /** Pieces start where a kernel may want them to: on a line of the widest copies. */
  private static final long ALIGNMENT = 256;

  private long bytes;
  private @Nullable DeviceBuffer buffer;

  /** Reserves memory. */
  Piece reserve(long size) {
    if (size < 1 || buffer != null) {
      throw new IllegalArgumentException(size + " bytes of an open plan");
    }
    Piece piece = new Piece(this, bytes, size);
    bytes = Math.addExact(bytes, Math.multiplyExact(Math.ceilDiv(size, ALIGNMENT), ALIGNMENT));
    return piece;
  }

  /** All that is reserved, paddings included. */
  long bytes() {
    return bytes;
  }

  /** Takes the memory. */
  void allocate(Device device) {
    if (bytes > 0) {
      buffer = device.allocate(bytes);
    }
  }

  /** Memory of a plan. */
  static final class Piece {
    private final DevicePlan plan;
    private final long offset;
    private final long bytes;

    private Piece(DevicePlan plan, long offset, long bytes) {
      this.plan = plan;
      this.offset = offset;
      this.bytes = bytes;
    }

    long bytes() {
      return bytes;
    }

    /** Where it is. */
    DeviceRange range() {
      if (plan.buffer == null) {
        throw new IllegalStateException("the plan is not allocated yet");
      }
      return new DeviceRange(plan.buffer, offset, bytes);
    }
  }
}
