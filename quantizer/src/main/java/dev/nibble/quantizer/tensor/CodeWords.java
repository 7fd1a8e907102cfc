package dev.nibble.quantizer.tensor;

import dev.nibble.quantizer.format.PackedLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Packed weights in the order the vector kernels read them: a lane is an output row.
 *
 * <pre>{@code
 * row block of 64 rows
 *   run of columns          a group; 128 columns where a row has one scale
 *     64 scale words        of each run; per channel once, before the first run
 *     unit of columns       4 (8 bits), 8 (4), 16 (2, 6) or 32 (3)
 *       word 0..n-1         one, or three for 3 and 6 bits
 *         row 0..63         32 bits
 *
 * scale word  bits 31..16 the fp16 scale, 7..0 the zero
 * word        8 bits: code i at bit 8 i      4 bits: at 4 i      2 bits: at 2 i
 *             6 bits: code 5 j + i of the unit in word j at bit 6 i, i = 0..4;
 *                     code 15 in bits 31..30 of words 0, 1 and 2, its low bits first
 *             3 bits: code 10 j + i of the unit in word j at bit 3 i, i = 0..9;
 *                     codes 30 and 31 in bits 31..30 of words 0, 1 and 2, low bits first
 * }</pre>
 */
final class CodeWords implements PreparedMatrix {
  /** Rows of a block. */
  static final int BLOCK = PackedLayout.ROW_BLOCK;

  /** Bytes of a word or scale word of a whole block. */
  static final int BLOCK_BYTES = BLOCK * Integer.BYTES;

  /** Columns of a run where a row has one scale: sums of integer products stay below 2^24. */
  static final int LONGEST_RUN = 128;

  private static final ValueLayout.OfInt WORD = ValueLayout.JAVA_INT;
  private static final ValueLayout.OfShort HALF = ValueLayout.JAVA_SHORT_UNALIGNED;

  private final PackedLayout layout;
  private final MemorySegment words;
  private final float[] rowSums;

  private CodeWords(PackedLayout layout, MemorySegment words) {
    this.layout = layout;
    this.words = words;
    rowSums = new float[layout.paddedRows()];
  }

  /** Reorders weights into memory of the arena, which every worker thread must be able to use. */
  static CodeWords of(WeightMatrix.Packed weights, Arena arena, WorkerThreads workers) {
    PackedLayout layout = weights.layout();
    long bytes = Math.multiplyExact(layout.rowBlocks(), blockBytes(layout));
    CodeWords made = new CodeWords(layout, arena.allocate(bytes, BLOCK_BYTES));
    workers.run(layout.rowBlocks(), (from, to, worker) -> made.fill(weights, from, to));
    return made;
  }

  @Override
  public int rows() {
    return layout.rows();
  }

  @Override
  public int columns() {
    return layout.columns();
  }

  @Override
  public long bytes() {
    return words.byteSize() + (long) rowSums.length * Float.BYTES;
  }

  MemorySegment words() {
    return words;
  }

  int bits() {
    return layout.bits();
  }

  int blocks() {
    return layout.rowBlocks();
  }

  /** Where a block's words start. */
  long block(int block) {
    return block * blockBytes(layout);
  }

  /** Bytes from one run's scale words to the next's. */
  long scaleStride() {
    return grouped() ? codeStride() : 0;
  }

  /** Bytes from one run's codes to the next's. */
  long codeStride() {
    return (long) (runColumns() / unitColumns() * unitWords() + (grouped() ? 1 : 0)) * BLOCK_BYTES;
  }

  boolean grouped() {
    return layout.groupSize() != 0;
  }

  int runColumns() {
    return grouped() ? layout.groupSize() : LONGEST_RUN;
  }

  int runs() {
    return Math.ceilDiv(layout.columns(), runColumns());
  }

  /** Units of a run; the last one is as short as it comes. */
  int units(int run) {
    int left = layout.columns() - run * runColumns();
    return Math.ceilDiv(Math.min(left, runColumns()), unitColumns());
  }

  int unitColumns() {
    return unitColumns(layout.bits());
  }

  int unitWords() {
    return unitWords(layout.bits());
  }

  /** Sum of each row's weights, codes times scales: R of the integer formula. */
  float[] rowSums() {
    return rowSums;
  }

  private static int unitColumns(int bits) {
    return Integer.SIZE * unitWords(bits) / bits;
  }

  private static int unitWords(int bits) {
    return bits == 3 || bits == 6 ? 3 : 1;
  }

  private static long blockBytes(PackedLayout layout) {
    int units = Math.ceilDiv(layout.columns(), unitColumns(layout.bits()));
    int scales = layout.groups();
    return ((long) units * unitWords(layout.bits()) + scales) * BLOCK_BYTES;
  }

  private void fill(WeightMatrix.Packed weights, int from, int to) {
    int width = layout.paddedColumns();
    byte[] codes = new byte[BLOCK * width];
    for (int b = from; b < to; b++) {
      layout.unpackRowBlock(weights.qweight(), b, 0, width, codes);
      long out = block(b);
      for (int run = 0; run < runs(); run++) {
        int group = grouped() ? run : 0;
        if (grouped() || run == 0) {
          putScales(weights, b, group, out);
          out += BLOCK_BYTES;
        }
        int first = run * runColumns();
        int columns = Math.min(runColumns(), layout.columns() - first);
        for (int row = 0; row < BLOCK; row++) {
          sumRow(weights, b, row, group, codes, first, columns);
          putRow(codes, row * width + first, units(run), out + (long) row * Integer.BYTES);
        }
        out += (long) units(run) * unitWords() * BLOCK_BYTES;
      }
    }
  }

  private void putScales(WeightMatrix.Packed weights, int block, int group, long out) {
    for (int row = 0; row < BLOCK; row++) {
      long at = layout.scaleIndex(block * BLOCK + row, group);
      int scale = weights.scales().getAtIndex(HALF, at) << Short.SIZE;
      words.set(WORD, out + (long) row * Integer.BYTES, scale | zero(weights, at));
    }
  }

  private int zero(WeightMatrix.Packed weights, long at) {
    MemorySegment zeros = weights.zeros();
    return zeros == null
        ? layout.impliedZero()
        : Byte.toUnsignedInt(zeros.get(ValueLayout.JAVA_BYTE, at));
  }

  private void sumRow(
      WeightMatrix.Packed weights,
      int block,
      int row,
      int group,
      byte[] codes,
      int first,
      int columns) {
    int at = row * layout.paddedColumns() + first;
    int sum = 0;
    for (int i = at; i < at + columns; i++) {
      sum += Byte.toUnsignedInt(codes[i]);
    }
    long scaleAt = layout.scaleIndex(block * BLOCK + row, group);
    float scale = Float.float16ToFloat(weights.scales().getAtIndex(HALF, scaleAt));
    rowSums[block * BLOCK + row] += scale * (sum - columns * zero(weights, scaleAt));
  }

  private void putRow(byte[] codes, int at, int units, long out) {
    int columns = unitColumns();
    for (int u = 0; u < units; u++, at += columns) {
      switch (layout.bits()) {
        case 3 -> putThree(codes, at, 3, 10, out + 3L * u * BLOCK_BYTES);
        case 6 -> putThree(codes, at, 6, 5, out + 3L * u * BLOCK_BYTES);
        default -> {
          int word = word(codes, at, layout.bits(), columns);
          words.set(WORD, out + (long) u * BLOCK_BYTES, word);
        }
      }
    }
  }

  /** The two left-over bits of each word hold the unit's last codes. */
  private void putThree(byte[] codes, int at, int bits, int wordCodes, long out) {
    int rest = word(codes, at + 3 * wordCodes, bits, 6 / bits);
    for (int j = 0; j < 3; j++) {
      int word = word(codes, at + j * wordCodes, bits, wordCodes) | ((rest >>> (2 * j)) << 30);
      words.set(WORD, out + (long) j * BLOCK_BYTES, word);
    }
  }

  private static int word(byte[] codes, int at, int bits, int count) {
    int word = 0;
    for (int i = 0; i < count; i++) {
      word |= Byte.toUnsignedInt(codes[at + i]) << (i * bits);
    }
    return word;
  }
}
