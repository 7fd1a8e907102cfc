// Where each code, scale and zero of a packed linear [rows, columns] lies. The picture is in the
// javadoc of dev.nibble.quantizer.format.PackedLayout; a test compares the two byte for byte.
#ifndef NIBBLE_PACKED_LAYOUT_H
#define NIBBLE_PACKED_LAYOUT_H

#include <stdint.h>

#ifdef __CUDACC__
#define NIBBLE_INLINE static __host__ __device__ __forceinline__
#else
#define NIBBLE_INLINE static inline
#endif

#define NIBBLE_ROW_BLOCK 64      // rows are padded to this many
#define NIBBLE_COLUMN_BLOCK 512  // columns of a column block
#define NIBBLE_COLUMN_UNIT 128   // columns are padded to this many
#define NIBBLE_SUBTILE_ROWS 16   // rows of a subtile
#define NIBBLE_STEP_COLUMNS 32   // columns one register fragment covers
#define NIBBLE_LANES 32          // lanes of a chunk
#define NIBBLE_LANE_BYTES 16     // bytes of a lane in a chunk
#define NIBBLE_CHUNK_BYTES 512   // bytes of a chunk

// Arguments: bits 2, 3, 4, 6 or 8; rows, columns: unpadded shape, at least 1; group_size: columns
// that share a scale, 32, 64 or 128, or 0 for one scale a row. Offsets are bytes of the qweight or
// elements of the scales (fp16) and zeros (u8).

NIBBLE_INLINE int64_t nibble_padded_rows(int64_t rows) {
  return (rows + NIBBLE_ROW_BLOCK - 1) / NIBBLE_ROW_BLOCK * NIBBLE_ROW_BLOCK;
}

NIBBLE_INLINE int64_t nibble_padded_columns(int64_t columns) {
  return (columns + NIBBLE_COLUMN_UNIT - 1) / NIBBLE_COLUMN_UNIT * NIBBLE_COLUMN_UNIT;
}

// Bytes of the codes of 64 rows.
NIBBLE_INLINE int64_t nibble_row_block_bytes(int bits, int64_t columns) {
  return NIBBLE_ROW_BLOCK / 8 * nibble_padded_columns(columns) * bits;
}

NIBBLE_INLINE int64_t nibble_qweight_bytes(int bits, int64_t rows, int64_t columns) {
  return nibble_padded_rows(rows) / NIBBLE_ROW_BLOCK * nibble_row_block_bytes(bits, columns);
}

// Scales of 64 rows.
NIBBLE_INLINE int64_t nibble_row_block_scales(int64_t columns, int group_size) {
  return NIBBLE_ROW_BLOCK * (group_size == 0 ? 1 : nibble_padded_columns(columns) / group_size);
}

NIBBLE_INLINE int64_t nibble_scale_count(int64_t rows, int64_t columns, int group_size) {
  return nibble_padded_rows(rows) / NIBBLE_ROW_BLOCK *
         nibble_row_block_scales(columns, group_size);
}

NIBBLE_INLINE int64_t nibble_scale_index(int64_t columns, int group_size, int64_t row,
                                         int64_t group) {
  int64_t block_groups, first_group, groups_here;
  if (group_size == 0) return row;
  block_groups = NIBBLE_COLUMN_BLOCK / group_size;
  first_group = group / block_groups * block_groups;
  groups_here = nibble_padded_columns(columns) / group_size - first_group;
  if (groups_here > block_groups) groups_here = block_groups;
  return row / NIBBLE_ROW_BLOCK * nibble_row_block_scales(columns, group_size) +
         first_group * NIBBLE_ROW_BLOCK +
         row % NIBBLE_ROW_BLOCK / NIBBLE_SUBTILE_ROWS * NIBBLE_SUBTILE_ROWS * groups_here +
         (group - first_group) * NIBBLE_SUBTILE_ROWS + row % NIBBLE_SUBTILE_ROWS;
}

NIBBLE_INLINE int nibble_tile_rows(int bits) {
  return bits == 3 ? 2 * NIBBLE_SUBTILE_ROWS : NIBBLE_SUBTILE_ROWS;
}

NIBBLE_INLINE int nibble_tile_columns(int bits) {
  return bits == 8   ? NIBBLE_STEP_COLUMNS
         : bits == 4 ? 2 * NIBBLE_STEP_COLUMNS
                     : 4 * NIBBLE_STEP_COLUMNS;
}

// First byte of the tile that holds a code.
NIBBLE_INLINE int64_t nibble_tile_offset(int bits, int64_t columns, int64_t row, int64_t column) {
  int tile_rows = nibble_tile_rows(bits), tile_columns = nibble_tile_columns(bits);
  int64_t block_column = column / NIBBLE_COLUMN_BLOCK * NIBBLE_COLUMN_BLOCK;
  int64_t block_columns = nibble_padded_columns(columns) - block_column;
  if (block_columns > NIBBLE_COLUMN_BLOCK) block_columns = NIBBLE_COLUMN_BLOCK;
  return row / NIBBLE_ROW_BLOCK * nibble_row_block_bytes(bits, columns) +
         NIBBLE_ROW_BLOCK / 8 * block_column * bits +
         row % NIBBLE_ROW_BLOCK / tile_rows * (tile_rows / 8 * block_columns * bits) +
         tile_rows / 8 * (column % NIBBLE_COLUMN_BLOCK / tile_columns * tile_columns) * bits;
}

// Byte of a code in the first chunk of its tile; the other chunks' follow 512 bytes apart.
NIBBLE_INLINE int64_t nibble_byte_offset(int bits, int64_t columns, int64_t row, int64_t column) {
  int lane = (int)(4 * (row & 7) + (column >> 2 & 3));
  int word = (int)((row >> 3 & 1) + 2 * (column >> 4 & 1));
  return nibble_tile_offset(bits, columns, row, column) + lane * NIBBLE_LANE_BYTES + word * 4 +
         (column & 3);
}

// The fragment of its tile that a code belongs to: the step, plus 4 in the second subtile.
NIBBLE_INLINE int nibble_fragment(int bits, int64_t row, int64_t column) {
  int step = (int)(column % nibble_tile_columns(bits) / NIBBLE_STEP_COLUMNS);
  return bits == 3 ? 4 * (int)(row / NIBBLE_SUBTILE_ROWS & 1) + step : step;
}

// Reads one code.
NIBBLE_INLINE int nibble_code(const uint8_t* qweight, int bits, int64_t columns, int64_t row,
                              int64_t column) {
  const uint8_t* byte = qweight + nibble_byte_offset(bits, columns, row, column);
  int f = nibble_fragment(bits, row, column);
  if (bits == 6) {
    return f < 3 ? byte[f * NIBBLE_CHUNK_BYTES] & 0x3f
                 : byte[0] >> 6 | byte[NIBBLE_CHUNK_BYTES] >> 6 << 2 |
                       byte[2 * NIBBLE_CHUNK_BYTES] >> 6 << 4;
  }
  if (bits == 3) {
    return f < 6 ? byte[f / 2 * NIBBLE_CHUNK_BYTES] >> (3 * (f & 1)) & 7
                 : byte[(f - 6) * NIBBLE_CHUNK_BYTES] >> 6 |
                       (byte[2 * NIBBLE_CHUNK_BYTES] >> f & 1) << 2;
  }
  return byte[0] >> (bits * f) & ((1 << bits) - 1);
}

// Writes one code into a qweight that was zero there.
NIBBLE_INLINE void nibble_put_code(uint8_t* qweight, int bits, int64_t columns, int64_t row,
                                   int64_t column, int code) {
  uint8_t* byte = qweight + nibble_byte_offset(bits, columns, row, column);
  int f = nibble_fragment(bits, row, column);
  if (bits == 6) {
    if (f < 3) {
      byte[f * NIBBLE_CHUNK_BYTES] |= (uint8_t)code;
    } else {
      byte[0] |= (uint8_t)((code & 3) << 6);
      byte[NIBBLE_CHUNK_BYTES] |= (uint8_t)((code >> 2 & 3) << 6);
      byte[2 * NIBBLE_CHUNK_BYTES] |= (uint8_t)((code >> 4 & 3) << 6);
    }
  } else if (bits == 3) {
    if (f < 6) {
      byte[f / 2 * NIBBLE_CHUNK_BYTES] |= (uint8_t)(code << (3 * (f & 1)));
    } else {
      byte[(f - 6) * NIBBLE_CHUNK_BYTES] |= (uint8_t)((code & 3) << 6);
      byte[2 * NIBBLE_CHUNK_BYTES] |= (uint8_t)(code >> 2 << f);
    }
  } else {
    byte[0] |= (uint8_t)(code << (bits * f));
  }
}

#endif  // NIBBLE_PACKED_LAYOUT_H
