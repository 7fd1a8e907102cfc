package dev.nibble.runtime.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Device addresses in a kernel's struct. They are numbers, as the host cannot follow them. */
final class StructPointers {
  private StructPointers() {}

  /** Sets the pointer at a field's offset. */
  static void set(MemorySegment struct, long offset, long address) {
    struct.set(ValueLayout.JAVA_LONG, offset, address);
  }
}
