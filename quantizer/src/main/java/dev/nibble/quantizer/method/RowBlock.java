package dev.nibble.quantizer.method;

import dev.nibble.quantizer.format.PackedLayout;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * 64 rows of a packed linear in memory: codes row-major, scales and zeros in the order of the file.
 * Not thread-safe.
 */
final class RowBlock {
  private final PackedLayout layout;

  /** 64 x padded columns. */
  final byte[] codes;

  /** fp16 bits, in the layout's order of one row block. */
  final short[] scales;

  /** One a scale; 2^(bits-1) throughout for symmetric weights, and then not written. */
  final byte[] zeros;

  /** Sum of the squares of what was rounded away. */
  double squaredError;

  /** Sum of the squares of the weights. */
  double squaredNorm;

  RowBlock(PackedLayout layout) {
    this.layout = layout;
    codes = new byte[Math.multiplyExact(PackedLayout.ROW_BLOCK, layout.paddedColumns())];
    scales = new short[Math.toIntExact(layout.rowBlockScales())];
    zeros = new byte[scales.length];
  }

  /** Makes the block all padding. */
  void clear() {
    Arrays.fill(codes, (byte) 0);
    Arrays.fill(scales, (short) 0);
    Arrays.fill(zeros, (byte) 0);
    squaredError = 0;
    squaredNorm = 0;
  }

  /** Packs the codes to {@link PackedLayout#rowBlockBytes} bytes. */
  void pack(MemorySegment qweight) {
    layout.packRowBlock(codes, qweight);
  }
}
