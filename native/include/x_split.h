// Splits inputs of 16 bits or more into pairs of int8 parts for skinny.h, with the arithmetic of
// gemv.h: for each run of columns, 256 high + low = round(x 32512 / max |x|). Optionally x is first
// an RMSNorm's: then the parts are of x * weight, and token_scales is 1 / root mean square.
//
// Kernels x_split_g32, x_split_g64 and x_split_g128 of the image x_split, by the columns of a run:
//   grid (tokens, any, 1), with a norm (tokens, 1, 1), best one for each X_SPLIT_BLOCK_COLUMNS columns;
//   block (X_SPLIT_THREADS, 1, 1), no dynamic shared memory.
#ifndef NIBBLE_X_SPLIT_H
#define NIBBLE_X_SPLIT_H

#include <assert.h>
#include <stdint.h>

#include "gemm_tile.h"

#define X_SPLIT_THREADS 512
#define X_SPLIT_BLOCK_COLUMNS 4096
#define X_SPLIT_ARGS_BYTES 72
#define X_SPLIT_MAX_COLUMNS 65536
#define X_SPLIT_TOKEN_UNIT 2  // run_stride is a multiple of this many tokens

struct x_split_args {
  // fp16 [tokens, x_stride], or with a norm fp32 [tokens, x_stride]; 16-byte aligned.
  const void* x;
  // fp32 [columns], 16-byte aligned; or null: no norm.
  const float* norm_weight;
  // [columns] or null: as gemv.h says.
  const uint16_t* channel_order;
  // A tiled int8 matrix (gemm_tile.h) of 2 tokens rows, each token's high and then its low parts;
  // 128-byte aligned. Rows of its padding are not written.
  int8_t* parts;
  // [padded columns / run][run_stride] pairs of an fp32 scale and the int32 sum of the integers, zeros
  // for the token after the last; 16-byte aligned.
  void* runs;
  // [tokens]; 1 without a norm.
  float* token_scales;
  // Elements from one token to the next: a multiple of 8.
  int64_t x_stride;
  // Tokens from one run to the next: even, at least tokens.
  int32_t run_stride;
  float epsilon;
  // At most X_SPLIT_MAX_COLUMNS.
  int32_t columns;
  int32_t reserved;
};

#ifdef __cplusplus
static_assert(sizeof(struct x_split_args) == X_SPLIT_ARGS_BYTES, "the launcher fills these bytes");
#endif

#endif  // NIBBLE_X_SPLIT_H
