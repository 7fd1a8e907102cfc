// y = x W^T for 1 to SKINNY_MAX_TOKENS tokens of int8 inputs, W packed in 2, 3, 4, 6 or 8 bits
// (packed_layout.h). Two kinds of input, one kernel each:
//
//   a16  parts of 16-bit inputs, made by x_split.h. With integers d = sum (code - zero) q of a run
//        of columns, y = token_scales * sum (scale * run scale) d, in the order of gemv.h and with
//        the same result, so that one token's result does not depend on its batch.
//   a8   codes of activations of at most 8 bits (act_quant.h, row_norm.h):
//        y = token_scales (sum_g scale (sum (code - zero) a) - token_zeros row_sums).
//
// Floor: the packed bytes at the memory's read bandwidth, or above some 24 tokens (a16) the int8
// tensor cores': 4 rows columns tokens operations for a16, half of that for a8.
//
// Kernels skinny_w<bits>a16_n<c> and skinny_w<bits>a8_n<c> of the image skinny_w<bits>; c = 32, 64 or 128, the
// least that holds 2 * tokens (a16) or tokens (a8; at most 64).
//   grid (rows padded to 64, of all segments together, / SKINNY_ROWS; with GEMV_SWIGLU_F16 half of
//     that), block (SKINNY_THREADS, 1, 1), dynamic shared memory
//   skinny_a16_shared_bytes or skinny_a8_shared_bytes.
// Segments and epilogues are gemv.h's. With programmatic dependent launch the kernel reads qweight,
// scales and zeros before it waits for the kernel before it.
#ifndef NIBBLE_SKINNY_H
#define NIBBLE_SKINNY_H

#include <assert.h>
#include <stdint.h>

#include "gemv.h"

#define SKINNY_MAX_TOKENS 64
#define SKINNY_THREADS 256
#define SKINNY_ROWS 32    // rows of a thread block
#define SKINNY_STAGES 4
#define SKINNY_COLUMNS 128  // columns of a stage
#define SKINNY_ARGS_BYTES 240

// Given this much shared memory and groups of 128 or none, skinny_w<bits>a16_n32 takes whole column
// blocks at a time: codes, x, the scales, zeros, and scales and sums of x of 4 groups of 128; and the
// products that its warps exchange. With skinny_a8_shared_bytes it is right too, but
// three times slower: the way where a block may not have as much.
#define SKINNY_WIDE_STAGES 3
#define SKINNY_WIDE_STAGE_BYTES(bits) (2048 * (bits) + 16384 + 384 + 512)
#define SKINNY_EXCHANGE_BYTES 16384

struct skinny_args {
  // As in gemv.h.
  const uint8_t* qweight;
  const void* scales;
  const uint8_t* zeros;
  // a16: x_split_args.parts. a8: [tokens, columns padded to NIBBLE_COLUMN_UNIT] codes, 0 in the
  // padding. 16-byte aligned.
  const int8_t* x;
  // a16: x_split_args.runs. Not read by a8.
  const void* runs;
  // a8: [tokens, ceil(columns / group_size)] sums of codes, or [tokens] if group_size is 0. Not read
  // by a16.
  const int32_t* sums;
  // [tokens], or null for 1.
  const float* token_scales;
  // a8: [tokens], or null for 0.
  const float* token_zeros;
  // a8: [padded rows of all segments] (row_sums.h), read if token_zeros is not null.
  const float* row_sums;
  struct gemv_segment segments[3];
  // Unpadded; at most 65536.
  int32_t columns;
  int32_t tokens;
  // 32, 64 or 128, or 0 for one scale a row.
  int32_t group_size;
  // a16: x_split_args.run_stride.
  int32_t run_stride;
  int32_t segment_count;
  int32_t epilogue;
};

#ifdef __cplusplus
static_assert(sizeof(struct skinny_args) == SKINNY_ARGS_BYTES, "the launcher fills these bytes");
#endif

// Dynamic shared bytes of kernel ..._n<n>: stages of codes, x, and as if in groups of 32 the scales,
// zeros, and scales and sums of x.
NIBBLE_INLINE int skinny_a8_shared_bytes(int bits, int n) {
  return SKINNY_STAGES * (SKINNY_ROWS * SKINNY_COLUMNS / 8 * bits + n * SKINNY_COLUMNS +
                          12 * SKINNY_ROWS + 16 * n);
}

NIBBLE_INLINE int skinny_a16_shared_bytes(int bits, int n) {
  return n == 32 ? SKINNY_WIDE_STAGES * SKINNY_WIDE_STAGE_BYTES(bits) + SKINNY_EXCHANGE_BYTES
                 : skinny_a8_shared_bytes(bits, n);
}

#endif  // NIBBLE_SKINNY_H
