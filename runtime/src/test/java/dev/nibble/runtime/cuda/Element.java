package dev.nibble.runtime.cuda;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** What an array on a device holds. */
public enum Element {
  FLOAT(0, Float.BYTES),
  HALF(1, Short.BYTES),
  CODE(2, Byte.BYTES),
  INT(3, Integer.BYTES);

  private final int number;
  private final int bytes;

  Element(int number, int bytes) {
    this.number = number;
    this.bytes = bytes;
  }

  /** What it is in a trace. */
  int number() {
    return number;
  }

  public int bytes() {
    return bytes;
  }

  /** The element at an index of memory that was copied to the host. */
  public double get(MemorySegment memory, long index) {
    return switch (this) {
      case FLOAT -> memory.getAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, index);
      case HALF -> Float.float16ToFloat(memory.getAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, index));
      case CODE -> memory.get(ValueLayout.JAVA_BYTE, index);
      case INT -> memory.getAtIndex(ValueLayout.JAVA_INT_UNALIGNED, index);
    };
  }
}
