package dev.nibble.quantizer.format;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * Where each code, scale and zero of a packed linear [rows, columns] lies. {@code
 * native/include/packed_layout.h} states the same in C.
 *
 * <p>Rows are padded to 64 and columns to 128, with code 0 and scale 0. The codes are cut into
 * blocks that a GPU copies as they are, and inside them into the register fragments of its integer
 * matrix instructions:
 *
 * <pre>{@code
 * qweight   row block of 64 rows            0, 1, ...
 *             column block of 512 columns   0, 1, ...; the last is as short as it comes
 *               subtile of 16 rows          0..3; for 3 bits a pair of them, 0..1
 *                 tile, in column order     16 x 32 (8 bits), x 64 (4), x 128 (2, 6); 32 x 128 (3)
 *                   chunk of 512 bytes      one a tile; three for 3 and 6 bits
 *                     lane 0..31            16 bytes: words 0..3, little-endian
 *
 * lane = 4 g + t, word j, byte i hold, of each 32-column step s of the tile, the code at
 *           row = g + 8 (j & 1)     column = 32 s + 16 (j >> 1) + 4 t + i
 *
 * bits of that byte, s0 to s3 being the tile's steps, u0 to u3 those of the second subtile:
 *           7      6      5      4      3      2      1      0
 *   8     [                       s0                           ]
 *   4     [            s1            ][           s0           ]
 *   2     [     s3     ][     s2     ][    s1    ][     s0     ]
 *   3 c0  [ u2 bits 1..0 ][       s1        ][       s0        ]
 *     c1  [ u3 bits 1..0 ][       s3        ][       s2        ]
 *     c2  [u3.b2][u2.b2]  [       u1        ][       u0        ]
 *   6 c0  [ s3 bits 1..0 ][                s0                  ]
 *     c1  [ s3 bits 3..2 ][                s1                  ]
 *     c2  [ s3 bits 5..4 ][                s2                  ]
 *
 * scales, zeros   groups:      [row block][column block][subtile of 16 rows][group][16 rows]
 *                 per channel: [padded rows]
 * }</pre>
 *
 * <p>A row's last group may be short; groups that lie in padding altogether are present. The layout
 * is the one of the project's kernels, in which a lane's 16 bytes are operand A of {@code
 * mma.m16n8k32}.
 *
 * @param bits code width: 2, 3, 4, 6 or 8
 * @param rows output channels, at least 1
 * @param columns input channels, at least 1
 * @param groupSize columns that share a scale: 32, 64 or 128, or 0 for one scale a row
 */
public record PackedLayout(int bits, int rows, int columns, int groupSize) {
  /** Rows are padded to this many. */
  public static final int ROW_BLOCK = 64;

  /** Columns of a column block. */
  public static final int COLUMN_BLOCK = 512;

  /** Columns are padded to this many. */
  public static final int COLUMN_UNIT = 128;

  /** Rows of a subtile. */
  public static final int SUBTILE_ROWS = 16;

  /** Columns of a step: those one register fragment covers. */
  public static final int STEP_COLUMNS = 32;

  /** Lanes of a chunk. */
  public static final int LANES = 32;

  /** Bytes of a lane in a chunk. */
  public static final int LANE_BYTES = 16;

  /** Bytes of a chunk. */
  public static final int CHUNK_BYTES = LANES * LANE_BYTES;

  /**
   * Checks the parameters and that the padded sizes can be counted.
   *
   * @throws IllegalArgumentException if a parameter is out of range
   * @throws ArithmeticException if the padded shape overflows
   */
  public PackedLayout {
    switch (bits) {
      case 2, 3, 4, 6, 8 -> {}
      default -> throw new IllegalArgumentException("bits " + bits + ": expected 2, 3, 4, 6 or 8");
    }
    switch (groupSize) {
      case 0, 32, 64, 128 -> {}
      default ->
          throw new IllegalArgumentException(
              "group size " + groupSize + ": expected 32, 64, 128 or 0");
    }
    if (rows < 1 || columns < 1) {
      throw new IllegalArgumentException(
          "shape [" + rows + ", " + columns + "]: expected at least one row and one column");
    }
    Math.multiplyExact((long) padded(rows, ROW_BLOCK), padded(columns, COLUMN_UNIT));
  }

  /**
   * Rows with padding.
   *
   * @return a multiple of 64
   */
  public int paddedRows() {
    return padded(rows, ROW_BLOCK);
  }

  /**
   * Columns with padding.
   *
   * @return a multiple of 128
   */
  public int paddedColumns() {
    return padded(columns, COLUMN_UNIT);
  }

  /**
   * Blocks of 64 rows.
   *
   * @return row blocks
   */
  public int rowBlocks() {
    return paddedRows() / ROW_BLOCK;
  }

  /**
   * Size of the codes.
   *
   * @return bytes
   */
  public long qweightBytes() {
    return Math.multiplyExact(rowBlocks(), rowBlockBytes());
  }

  /**
   * Size of a row block's codes; row block b starts at byte {@code b * rowBlockBytes()}.
   *
   * @return bytes
   */
  public long rowBlockBytes() {
    return rowsBytes(ROW_BLOCK, paddedColumns());
  }

  /**
   * Groups a row has, the short last one included.
   *
   * @return groups; 1 per channel
   */
  public int groups() {
    return groupSize == 0 ? 1 : Math.ceilDiv(columns, groupSize);
  }

  /**
   * The group of a column.
   *
   * @param column input channel
   * @return group, from 0
   */
  public int group(int column) {
    return groupSize == 0 ? 0 : column / groupSize;
  }

  /**
   * Number of scales, padding included; that of the zeros is the same.
   *
   * @return elements
   */
  public long scaleCount() {
    return Math.multiplyExact(rowBlocks(), rowBlockScales());
  }

  /**
   * Scales of a row block; row block b starts at element {@code b * rowBlockScales()}.
   *
   * @return elements
   */
  public long rowBlockScales() {
    return (long) ROW_BLOCK * (groupSize == 0 ? 1 : paddedColumns() / groupSize);
  }

  /**
   * Where a group's scale and zero lie.
   *
   * @param row output channel, padding included
   * @param group group of that row, padding included
   * @return element of the scales and of the zeros
   */
  public long scaleIndex(int row, int group) {
    if (groupSize == 0) {
      return row;
    }
    int blockGroups = COLUMN_BLOCK / groupSize;
    int firstGroup = group / blockGroups * blockGroups;
    int groupsHere = Math.min(blockGroups, paddedColumns() / groupSize - firstGroup);
    return row / ROW_BLOCK * rowBlockScales()
        + (long) firstGroup * ROW_BLOCK
        + (long) (row % ROW_BLOCK / SUBTILE_ROWS) * SUBTILE_ROWS * groupsHere
        + (long) (group - firstGroup) * SUBTILE_ROWS
        + row % SUBTILE_ROWS;
  }

  /**
   * The zero point of symmetric weights.
   *
   * @return 2^(bits-1)
   */
  public int impliedZero() {
    return 1 << (bits - 1);
  }

  /**
   * What a weight costs.
   *
   * @param symmetric whether there are no zeros
   * @return bits a weight, scales, zeros and padding included
   */
  public double bitsPerWeight(boolean symmetric) {
    double bytes = qweightBytes() + (double) scaleCount() * (symmetric ? 2 : 3);
    return 8 * bytes / ((double) rows * columns);
  }

  /**
   * Rows of a tile.
   *
   * @return 32 for 3 bits, otherwise 16
   */
  public int tileRows() {
    return bits == 3 ? 2 * SUBTILE_ROWS : SUBTILE_ROWS;
  }

  /**
   * Columns of a tile.
   *
   * @return 32 for 8 bits, 64 for 4 bits, otherwise 128
   */
  public int tileColumns() {
    return switch (bits) {
      case 8 -> STEP_COLUMNS;
      case 4 -> 2 * STEP_COLUMNS;
      default -> 4 * STEP_COLUMNS;
    };
  }

  /**
   * Where a tile starts.
   *
   * @param row any row of the tile, padding included
   * @param column any column of the tile, padding included
   * @return byte of the qweight
   */
  public long tileOffset(int row, int column) {
    int blockColumn = column / COLUMN_BLOCK * COLUMN_BLOCK;
    int blockColumns = Math.min(COLUMN_BLOCK, paddedColumns() - blockColumn);
    return row / ROW_BLOCK * rowBlockBytes()
        + rowsBytes(ROW_BLOCK, blockColumn)
        + row % ROW_BLOCK / tileRows() * rowsBytes(tileRows(), blockColumns)
        + rowsBytes(tileRows(), column % COLUMN_BLOCK / tileColumns() * tileColumns());
  }

  /**
   * Where the byte of a code lies in the first chunk of its tile; the other chunks' follow 512
   * bytes apart.
   *
   * @param row output channel, padding included
   * @param column input channel, padding included
   * @return byte of the qweight
   */
  public long byteOffset(int row, int column) {
    int lane = 4 * (row & 7) + (column >> 2 & 3);
    int word = (row >> 3 & 1) + 2 * (column >> 4 & 1);
    int byteOfChunk = lane * LANE_BYTES + word * Integer.BYTES + (column & 3);
    return tileOffset(row, column) + byteOfChunk;
  }

  /**
   * Reads one code.
   *
   * @param qweight the codes, {@link #qweightBytes} bytes
   * @param row output channel, padding included
   * @param column input channel, padding included
   * @return 0 to 2^bits - 1
   */
  public int code(MemorySegment qweight, int row, int column) {
    int step = column % tileColumns() / STEP_COLUMNS;
    int fragment = bits == 3 ? 4 * (row / SUBTILE_ROWS & 1) + step : step;
    return ByteLanes.code(bits, fragment, qweight, byteOffset(row, column));
  }

  /**
   * Packs a matrix.
   *
   * @param codes rows x columns, each 0 to 2^bits - 1
   * @param qweight receives {@link #qweightBytes} bytes
   */
  public void pack(byte[] codes, MemorySegment qweight) {
    checkSize("qweight", qweight.byteSize(), qweightBytes());
    checkSize("codes", codes.length, Math.multiplyExact((long) rows, columns));
    int stride = paddedColumns();
    byte[] block = new byte[Math.multiplyExact(ROW_BLOCK, stride)];
    for (int b = 0; b < rowBlocks(); b++) {
      Arrays.fill(block, (byte) 0);
      for (int r = 0; r < Math.min(ROW_BLOCK, rows - b * ROW_BLOCK); r++) {
        System.arraycopy(codes, (b * ROW_BLOCK + r) * columns, block, r * stride, columns);
      }
      packRowBlock(block, qweight.asSlice(b * rowBlockBytes(), rowBlockBytes()));
    }
  }

  /**
   * Packs 64 rows.
   *
   * @param codes 64 x {@link #paddedColumns}, padding 0, each 0 to 2^bits - 1
   * @param block receives {@link #rowBlockBytes} bytes
   * @throws IllegalArgumentException if a code needs more bits
   */
  public void packRowBlock(byte[] codes, MemorySegment block) {
    int stride = paddedColumns();
    checkSize("row block", block.byteSize(), rowBlockBytes());
    checkSize("codes", codes.length, (long) ROW_BLOCK * stride);
    for (byte code : codes) {
      if (Byte.toUnsignedInt(code) >>> bits != 0) {
        throw new IllegalArgumentException(
            "code " + Byte.toUnsignedInt(code) + ": expected at most " + ((1 << bits) - 1));
      }
    }
    for (int row = 0; row < ROW_BLOCK; row += tileRows()) {
      for (int column = 0; column < stride; column += tileColumns()) {
        ByteLanes.pack(bits, codes, row * stride + column, stride, block, tileOffset(row, column));
      }
    }
  }

  /**
   * Unpacks 64 rows of a range of columns, padding included.
   *
   * @param qweight the codes, {@link #qweightBytes} bytes
   * @param rowBlock which 64 rows
   * @param firstColumn a multiple of 128
   * @param columnCount a multiple of 128
   * @param codes receives 64 x columnCount codes, row-major
   */
  public void unpackRowBlock(
      MemorySegment qweight, int rowBlock, int firstColumn, int columnCount, byte[] codes) {
    unpackRows(qweight, rowBlock * ROW_BLOCK, ROW_BLOCK, firstColumn, columnCount, codes);
  }

  /**
   * Unpacks some rows of a range of columns, padding included.
   *
   * @param qweight the codes, {@link #qweightBytes} bytes
   * @param firstRow a multiple of {@link #tileRows}
   * @param rowCount a multiple of {@link #tileRows}
   * @param firstColumn a multiple of 128
   * @param columnCount a multiple of 128
   * @param codes receives rowCount x columnCount codes, row-major, from 0
   */
  public void unpackRows(
      MemorySegment qweight,
      int firstRow,
      int rowCount,
      int firstColumn,
      int columnCount,
      byte[] codes) {
    checkSize("qweight", qweight.byteSize(), qweightBytes());
    checkRange("rows", firstRow, rowCount, tileRows(), paddedRows());
    checkRange("columns", firstColumn, columnCount, COLUMN_UNIT, paddedColumns());
    if (codes.length < Math.multiplyExact((long) rowCount, columnCount)) {
      throw new IllegalArgumentException(
          "codes: " + codes.length + " bytes, expected " + rowCount + " x " + columnCount);
    }
    for (int row = 0; row < rowCount; row += tileRows()) {
      for (int column = 0; column < columnCount; column += tileColumns()) {
        long tile = tileOffset(firstRow + row, firstColumn + column);
        ByteLanes.unpack(bits, qweight, tile, codes, row * columnCount + column, columnCount);
      }
    }
  }

  /** Codes of so many whole rows of a tile's height; exact, as columns are multiples of 32. */
  private long rowsBytes(int rowCount, int columnCount) {
    return (long) rowCount * columnCount / 8 * bits;
  }

  private static int padded(int size, int unit) {
    return Math.multiplyExact(Math.ceilDiv(size, unit), unit);
  }

  private static void checkSize(String what, long found, long expected) {
    if (found != expected) {
      throw new IllegalArgumentException(what + ": " + found + " bytes, expected " + expected);
    }
  }

  private static void checkRange(String what, int first, int count, int unit, int end) {
    if (first < 0 || count < 0 || first > end - count || first % unit != 0 || count % unit != 0) {
      throw new IllegalArgumentException(
          what
              + ": "
              + count
              + " from "
              + first
              + ", expected multiples of "
              + unit
              + " in "
              + end);
    }
  }
}
