package dev.nibble.quantizer.tensor;

import dev.nibble.quantizer.format.PackedLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

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

  /** Through arrays, and few calls: a model's first token waits for this, half compiled. */
  private void fill(WeightMatrix.Packed weights, int from, int to) {
    int width = layout.paddedColumns();
    int scaleCount = Math.toIntExact(layout.rowBlockScales());
    byte[] codes = new byte[BLOCK * width];
    short[] scales = new short[scaleCount];
    byte[] zeros = new byte[scaleCount];
    Arrays.fill(zeros, (byte) layout.impliedZero());
    int[] out = new int[Math.toIntExact(blockBytes(layout) / Integer.BYTES)];
    for (int b = from; b < to; b++) {
      layout.unpackRowBlock(weights.qweight(), b, 0, width, codes);
      long first = b * layout.rowBlockScales();
      MemorySegment.copy(weights.scales(), HALF, first * Short.BYTES, scales, 0, scaleCount);
      MemorySegment points = weights.zeros();
      if (points != null) {
        MemorySegment.copy(points, ValueLayout.JAVA_BYTE, first, zeros, 0, scaleCount);
      }
      fillBlock(b, codes, scales, zeros, out);
      MemorySegment.copy(out, 0, words, WORD, block(b), out.length);
    }
  }

  private void fillBlock(int block, byte[] codes, short[] scales, byte[] zeros, int[] out) {
    int width = layout.paddedColumns();
    int at = 0;
    for (int run = 0; run < runs(); run++) {
      int group = grouped() ? run : 0;
      int column = run * runColumns();
      int columns = Math.min(runColumns(), layout.columns() - column);
      for (int row = 0; row < BLOCK; row++) {
        int s = Math.toIntExact(layout.scaleIndex(row, group));
        int zero = Byte.toUnsignedInt(zeros[s]);
        out[(grouped() ? at : 0) + row] = (scales[s] << Short.SIZE) | zero;
        int sum = sum(codes, row * width + column, columns);
        rowSums[block * BLOCK + row] += Float.float16ToFloat(scales[s]) * (sum - columns * zero);
      }
      at += grouped() || run == 0 ? BLOCK : 0;
      for (int row = 0; row < BLOCK; row++) {
        putRow(codes, row * width + column, units(run), out, at + row);
      }
      at += units(run) * unitWords() * BLOCK;
    }
  }

  private static int sum(byte[] codes, int from, int count) {
    int sum = 0;
    for (int i = from; i < from + count; i++) {
      sum += Byte.toUnsignedInt(codes[i]);
    }
    return sum;
  }

  private void putRow(byte[] codes, int from, int units, int[] out, int to) {
    int bits = layout.bits();
    int columns = unitColumns();
    if (unitWords() == 1) {
      for (int u = 0; u < units; u++) {
        out[to + u * BLOCK] = word(codes, from + u * columns, bits, columns);
      }
      return;
    }
    for (int u = 0; u < units; u++) {
      putThree(codes, from + u * columns, bits, out, to + 3 * u * BLOCK);
    }
  }

  /** The two left-over bits of each word hold the unit's last codes. */
  private static void putThree(byte[] codes, int from, int bits, int[] out, int to) {
    int whole = Integer.SIZE / bits;
    int rest = word(codes, from + 3 * whole, bits, 6 / bits);
    for (int j = 0; j < 3; j++) {
      int word = word(codes, from + j * whole, bits, whole);
      out[to + j * BLOCK] = word | ((rest >>> (2 * j)) << 30);
    }
  }

  private static int word(byte[] codes, int from, int bits, int count) {
    int word = 0;
    for (int i = 0; i < count; i++) {
      word |= Byte.toUnsignedInt(codes[from + i]) << (i * bits);
    }
    return word;
  }
}
