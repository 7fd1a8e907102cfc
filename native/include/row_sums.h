// R[n] = sum over columns of scale (code - zero) of a packed linear's row n, what a zero of its
// input's codes multiplies (skinny.h, gemm.h). Made once, when a model is loaded.
//
// Kernel row_sums of the image row_sums:
//   grid (ceil(padded rows / ROW_SUMS_ROWS), 1, 1), block (ROW_SUMS_THREADS, 1, 1), no dynamic
//   shared memory.
#ifndef NIBBLE_ROW_SUMS_H
#define NIBBLE_ROW_SUMS_H

#include <assert.h>
#include <stdint.h>

#include "packed_layout.h"

#define ROW_SUMS_THREADS 256
#define ROW_SUMS_ROWS 8  // of a thread block
#define ROW_SUMS_ARGS_BYTES 48

struct row_sums_args {
  // packed_layout.h; of one linear, or of several that lie one after the other.
  const uint8_t* qweight;
  const void* scales;
  // Null: symmetric.
  const uint8_t* zeros;
  // [padded_rows].
  float* row_sums;
  // A multiple of NIBBLE_ROW_BLOCK.
  int32_t padded_rows;
  // Unpadded.
  int32_t columns;
  int32_t bits;
  // 32, 64 or 128, or 0 for one scale a row.
  int32_t group_size;
};

#ifdef __cplusplus
static_assert(sizeof(struct row_sums_args) == ROW_SUMS_ARGS_BYTES, "the launcher fills these bytes");
#endif

#endif  // NIBBLE_ROW_SUMS_H
