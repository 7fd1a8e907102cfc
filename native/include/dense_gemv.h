// y = W x for 1 to 64 tokens, W fp16 or bf16 as the checkpoint has it: unquantized linears and the
// head. Floor: W's bytes at the memory's read bandwidth (32000 x 4096 on an H200: 57 us).
//
// Products of fp16, bf16 made fp16 first (exact from 2^-14 up), summed in fp32 on tensor cores. The
// sum of a row is that of DENSE_GEMV_WARPS classes of columns, class = column / 256 modulo classes,
// added up in order, whatever the number of tokens and the launch: a token's result does not depend
// on its batch.
//
// With norm_weight, x is first an RMSNorm's, in the arithmetic of row_norm.h: for each token the block
// goes twice over x, so that it pays for one or two tokens.
//
// Up to DENSE_GEMV_MAX_SEGMENTS matrices that read the same x go in one launch; for
// GEMV_SWIGLU_F16 they are gate and up, of as many rows.
//
// Kernels of the image dense_gemv. dense_gemv_f16_m<t> and dense_gemv_bf16_m<t>, t = 8, 16, 32 or 64,
// the least that holds the tokens:
//   grid (min(items, blocks), 1, 1), where items are the tiles of DENSE_GEMV_ROWS rows of all
//     segments, or with GEMV_SWIGLU_F16 of one, and blocks is twice the multiprocessors for t = 8,
//     else their number;
//   block (32 * DENSE_GEMV_WARPS, 1, 1);
//   dynamic shared memory dense_gemv_shared_bytes with a batch of dense_gemv_batch.
// dense_batch_f16 and dense_batch_bf16, for 1 to 64 tokens of any length, read x once for 128 rows
// instead of 16. Faster for more than 32 tokens where there is an item for three of four multiprocessors
// (64 tokens times 22016 x 4096 on an H200: 152 us, 222 with t = 64; 12288: 128, 124; 4096: 129, 42):
//   grid (min(items, blocks), 1, 1), where items are DENSE_BATCH_WARPS tiles of all segments, with
//     GEMV_SWIGLU_F16 half of them gate's and half up's, and blocks is twice the multiprocessors;
//   block (32 * DENSE_BATCH_WARPS, 1, 1); dynamic shared memory DENSE_BATCH_SHARED_BYTES.
// t = 8 holds x in shared memory, so that 8 tokens may have at most about 12,000 columns on an H200
// (dense_gemv_shared_bytes says); t = 16 takes 1 to 16 tokens of any length, with the same result.
// With programmatic dependent launch the kernel reads W and the norm's weights before it waits for
// the kernel before it.
#ifndef NIBBLE_DENSE_GEMV_H
#define NIBBLE_DENSE_GEMV_H

#include <assert.h>
#include <stdint.h>

#include "gemv.h"

#define DENSE_GEMV_MAX_TOKENS 64
#define DENSE_GEMV_MAX_SEGMENTS 3
#define DENSE_GEMV_WARPS 16
#define DENSE_GEMV_ROWS 16           // rows of a tile
#define DENSE_GEMV_BLOCK_COLUMNS 256  // columns that a warp takes at a time
#define DENSE_BATCH_WARPS 8
#define DENSE_BATCH_SHARED_BYTES 73728
#define DENSE_GEMV_ARGS_BYTES 224

struct dense_gemv_args {
  // fp16 or bf16 [rows of the segment, weight_stride] each, DENSE_GEMV_MAX_SEGMENTS of them;
  // 2-byte aligned, fast where 16-byte aligned.
  const void* weights[3];
  // fp16 [tokens, x_stride], or with a norm fp32; 16-byte aligned.
  const void* x;
  // fp32 [columns]; null: no norm. Only with t = 8.
  const float* norm_weight;
  struct gemv_segment segments[3];
  // Elements from one row to the next: at least columns, fast where a multiple of 8.
  int64_t weight_stride;
  // Elements from one token to the next: a multiple of 8.
  int64_t x_stride;
  int32_t columns;
  int32_t tokens;
  int32_t segment_count;
  // GEMV_STORE_F16 and so on.
  int32_t epilogue;
  // Added to the norm's mean square.
  float epsilon;
  int32_t reserved;
};

#ifdef __cplusplus
static_assert(sizeof(struct dense_gemv_args) == DENSE_GEMV_ARGS_BYTES,
              "the launcher fills these bytes");
#endif

// Tiles whose partial sums a block keeps before it adds them up.
NIBBLE_INLINE int dense_gemv_batch(int tokens) { return tokens < 16 ? 32 / tokens / 2 * 2 : 2; }

NIBBLE_INLINE int64_t dense_gemv_shared_bytes(int64_t columns, int tokens, int kernel_tokens) {
  int64_t padded = gemv_ceil(columns, DENSE_GEMV_BLOCK_COLUMNS) * DENSE_GEMV_BLOCK_COLUMNS;
  int64_t x_bytes = kernel_tokens == 8 ? tokens * (2 * padded + 64) : 0;
  return x_bytes +
         (int64_t)dense_gemv_batch(tokens) * DENSE_GEMV_WARPS * DENSE_GEMV_ROWS * tokens * 4;
}

#endif  // NIBBLE_DENSE_GEMV_H
