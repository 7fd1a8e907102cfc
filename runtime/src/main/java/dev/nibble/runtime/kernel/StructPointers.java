package dev.nibble.runtime.kernel;

import dev.nibble.runtime.cuda.DeviceRange;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/** Device addresses in a kernel's struct. They are numbers, as the host cannot follow them. */
final class StructPointers {
  private StructPointers() {}

  /** Sets the pointer at a field's offset. */
  static void set(MemorySegment struct, long offset, long address) {
    struct.set(ValueLayout.JAVA_LONG, offset, address);
  }

  /** Sets a pointer to so many bytes, or to nothing. */
  static void set(
      MemorySegment struct, long offset, String what, @Nullable DeviceRange range, long bytes) {
    set(struct, offset, range == null ? 0 : range.require(what, bytes));
  }
}
