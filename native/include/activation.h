// The MLP's non-linearity, or none, with what a linear's input needs after it:
//
//   1. a = silu(x) gate by gate with up; gelu(x) (the erf form); relu(x); or x: fp32
//   2. y = a, fp16, if wanted
//   3. codes of the unrounded a, if wanted, as row_norm.h says: so ACTIVATION_NONE quantizes alone,
//      with outlier columns and static steps, which act_quant.h has not
//
// One block a row:
//   grid (rows, 1, 1), block (ACTIVATION_THREADS, 1, 1), dynamic shared memory 4 * columns bytes
//   where there are codes, else 0.
#ifndef NIBBLE_ACTIVATION_H
#define NIBBLE_ACTIVATION_H

#include <assert.h>
#include <stdint.h>

#define ACTIVATION_THREADS 512
#define ACTIVATION_ARGS_BYTES 136

#define ACTIVATION_NONE 0
#define ACTIVATION_SWIGLU 1
#define ACTIVATION_GELU 2
#define ACTIVATION_RELU 3

#define ACTIVATION_ASYMMETRIC 0
#define ACTIVATION_SYMMETRIC 1
#define ACTIVATION_STATIC 2

struct activation_args {
  // fp16 [rows, x_stride], 16-byte aligned; the gate of SwiGLU.
  const void* x;
  // fp16 [rows, x_stride], 16-byte aligned; read for ACTIVATION_SWIGLU.
  const void* up;
  // fp16 [rows, y_stride], 16-byte aligned, or null. May be x.
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
  // [columns / 32]; read for ACTIVATION_STATIC.
  const float* static_steps;
  // [columns / 32]; read for ACTIVATION_STATIC.
  const int32_t* static_zeros;
  // [outlier_count] columns, or null.
  const int32_t* outliers;
  // Elements from one row to the next: multiples of 8.
  int64_t x_stride;
  int64_t y_stride;
  int32_t columns;
  // 32, 64 or 128, or columns for one sum a row.
  int32_t group_columns;
  // 4 to 8.
  int32_t bits;
  // ACTIVATION_ASYMMETRIC, ACTIVATION_SYMMETRIC or ACTIVATION_STATIC.
  int32_t range;
  // ACTIVATION_NONE, ACTIVATION_SWIGLU, ACTIVATION_GELU or ACTIVATION_RELU.
  int32_t kind;
  int32_t outlier_count;
  int32_t reserved[4];
};

static_assert(sizeof(struct activation_args) == ACTIVATION_ARGS_BYTES, "the launcher fills these bytes");

#endif  // NIBBLE_ACTIVATION_H
