// RMSNorm or LayerNorm of the residual stream, in one pass with what comes before and after it:
//
//   1. x += delta, if there is a delta; x is written back
//   2. n = weight (x - mean) / deviation [+ bias], or weight x / rms [+ bias]; fp32
//   3. y[i] = n[order[i]], fp16, if y is wanted (order: the channels' new order, RPTQ)
//   4. codes of n[order[i]], if wanted, from the unrounded fp32 n: as act_quant.h says, or with
//      static steps: clamp(round(n / step[i/32]) + zero[i/32], 0, 2^bits - 1) - 2^(bits-1), scale 1
//      and zero 0. Outlier columns count as 0 here.
//
// One block a row:
//   grid (rows, 1, 1), block (ROW_NORM_THREADS, 1, 1), dynamic shared memory 4 * columns bytes.
#ifndef NIBBLE_ROW_NORM_H
#define NIBBLE_ROW_NORM_H

#include <assert.h>
#include <stdint.h>

#define ROW_NORM_THREADS 512
#define ROW_NORM_ARGS_BYTES 160

#define ROW_NORM_RMS 0
#define ROW_NORM_LAYER 1

#define ROW_NORM_ASYMMETRIC 0
#define ROW_NORM_SYMMETRIC 1
#define ROW_NORM_STATIC 2

struct row_norm_args {
  // fp32 [rows, x_stride]; 16-byte aligned.
  float* x;
  // fp16 [rows, delta_stride], 8-byte aligned; or null.
  const void* delta;
  // [columns].
  const float* weight;
  // [columns] or null.
  const float* bias;
  // [columns] or null.
  const uint16_t* order;
  // fp16 [rows, y_stride], 16-byte aligned; or null.
  void* y;
  // [rows, columns padded to NIBBLE_COLUMN_UNIT], 0 in the padding; 8-byte aligned; or null, then
  // none of the following is used.
  int8_t* codes;
  // [rows].
  float* scales;
  // [rows].
  float* zeros;
  // [rows, ceil(columns / group_columns)].
  int32_t* sums;
  // [columns / 32]; read for ROW_NORM_STATIC.
  const float* static_steps;
  // [columns / 32]; read for ROW_NORM_STATIC.
  const int32_t* static_zeros;
  // [outlier_count] columns of the output, or null.
  const int32_t* outliers;
  // Elements from one row to the next: a multiple of 4.
  int64_t x_stride;
  // A multiple of 4.
  int64_t delta_stride;
  // A multiple of 8.
  int64_t y_stride;
  int32_t columns;
  // 32, 64 or 128, or columns for one sum a row.
  int32_t group_columns;
  // 4 to 8.
  int32_t bits;
  // ROW_NORM_ASYMMETRIC, ROW_NORM_SYMMETRIC or ROW_NORM_STATIC.
  int32_t range;
  // ROW_NORM_RMS or ROW_NORM_LAYER.
  int32_t kind;
  int32_t outlier_count;
  float epsilon;
  // Output row r is of row first_row + r of x and delta.
  int32_t first_row;
};

static_assert(sizeof(struct row_norm_args) == ROW_NORM_ARGS_BYTES, "the launcher fills these bytes");

#endif  // NIBBLE_ROW_NORM_H
