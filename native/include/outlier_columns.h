// What the columns kept at 16 bits add to a product (OWQ): x[columns] W^T, with the input as it was
// before any quantization. The packed codes of those columns count as 0. gemv.h and skinny.h take it as
// the addend of a segment; to a finished product it is added here.
//
// Kernel outlier_columns of the image outlier_columns:
//   grid (ceil(rows / OUTLIER_COLUMNS_ROWS), tokens, 1), block (OUTLIER_COLUMNS_THREADS, 1, 1), no
//   dynamic shared memory.
#ifndef NIBBLE_OUTLIER_COLUMNS_H
#define NIBBLE_OUTLIER_COLUMNS_H

#include <assert.h>
#include <stdint.h>

#define OUTLIER_COLUMNS_THREADS 256
#define OUTLIER_COLUMNS_ROWS 8  // of a thread block, one for each warp

#define OUTLIER_COLUMNS_STORE_F32 0
#define OUTLIER_COLUMNS_ADD_F32 1
#define OUTLIER_COLUMNS_ADD_F16 2

#define OUTLIER_COLUMNS_ARGS_BYTES 64

struct outlier_columns_args {
  // fp16 [rows, count].
  const void* weight;
  // [count], each below the columns of x.
  const int32_t* columns;
  // fp16 [tokens, x_stride].
  const void* x;
  // fp32 or fp16 [tokens, y_stride], as result says.
  void* y;
  int64_t x_stride;
  int64_t y_stride;
  int32_t rows;
  int32_t count;
  // OUTLIER_COLUMNS_STORE_F32 and so on.
  int32_t result;
  int32_t unused;
};

#ifdef __cplusplus
static_assert(sizeof(struct outlier_columns_args) == OUTLIER_COLUMNS_ARGS_BYTES,
              "the launcher fills these bytes");
#endif

#endif  // NIBBLE_OUTLIER_COLUMNS_H
