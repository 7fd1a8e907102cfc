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
// On an image for sm_90a, with group_size 128 or 0, the faster ones are skinny_w<bits>a16_wgmma_n<c>,
// c = 16, 32, 64 or 128, and skinny_w<bits>a8_wgmma_n<c>, c = 16, 32 or 64:
//   grid (SKINNY_CHAINS * g, 1, 1), best g = min(skinny_items, multiprocessors / SKINNY_CHAINS),
//     block (SKINNY_WGMMA_THREADS, 1, 1), dynamic shared memory skinny_wgmma_shared_bytes of the
//     stages that skinny_wgmma_plan sets; the device must run all blocks at once.
// They add up the chains of gemv.h in global memory, chain_sums.
// Segments and epilogues are gemv.h's. With programmatic dependent launch the kernel reads qweight,
// scales and zeros before it waits for the kernel before it.
#ifndef NIBBLE_SKINNY_H
#define NIBBLE_SKINNY_H

#include <assert.h>
#include <stdint.h>

#include "gemm_tile.h"
#include "gemv.h"

#define SKINNY_MAX_TOKENS 64
#define SKINNY_THREADS 256
#define SKINNY_ROWS 32    // rows of a thread block
#define SKINNY_STAGES 4
#define SKINNY_COLUMNS 128  // columns of a stage
#define SKINNY_ARGS_BYTES 264

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
  // a16: x_split_args.parts. a8: a tiled matrix (gemm_tile.h) of codes, 128-byte aligned.
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
  // Of the wgmma kernels, by skinny_wgmma_plan: stages of x, each of 128 columns, and of a ring of 64
  // rows' weights, each of a column block.
  int32_t x_stages;
  int32_t weight_stages;
  int32_t rings;
  int32_t reserved;
  // skinny_chain_bytes of zeros, which the kernel leaves behind again; 16-byte aligned.
  uint32_t* chain_sums;
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

#define SKINNY_CHAINS 4
#define SKINNY_X_STAGES 64      // at most
#define SKINNY_WEIGHT_STAGES 8  // at most
#define SKINNY_FEW_X_STAGES 4   // where a chain's columns do not stay in shared memory
#define SKINNY_STATIC_BYTES 2048  // shared, at most, besides the dynamic ones
#define SKINNY_ALIGNMENT 1024

// Warpgroups that share the tokens of 64 rows; those that multiply, as many as registers last for; and
// a block's threads.
#define SKINNY_WGMMA_PARTS(n, a16) ((n) > ((a16) ? 64 : 32) ? 2 : 1)
#define SKINNY_WGMMA_CONSUMERS(n, a16) ((n) > 16 && SKINNY_WGMMA_PARTS(n, a16) == 1 ? 3 : 4)
#define SKINNY_WGMMA_THREADS(n, a16) (128 + 128 * SKINNY_WGMMA_CONSUMERS(n, a16))

// Items of a block's chain, 64 rows each; with GEMV_SWIGLU_F16 of gate and of up.
NIBBLE_INLINE int64_t skinny_items(int64_t padded_rows, int epilogue) {
  return padded_rows / NIBBLE_ROW_BLOCK / (epilogue == GEMV_SWIGLU_F16 ? 2 : 1);
}

// Bytes of chain_sums.
NIBBLE_INLINE int64_t skinny_chain_bytes(int64_t padded_rows, int n, int a16) {
  return padded_rows * SKINNY_CHAINS * 4 * (a16 ? n / 2 : n);
}

NIBBLE_INLINE int64_t skinny_x_stage_bytes(int n) { return n * (GEMM_TILE_ROW_BYTES + 4); }

NIBBLE_INLINE int64_t skinny_weight_stage_bytes(int bits) {
  return NIBBLE_ROW_BLOCK * (NIBBLE_COLUMN_BLOCK / 8 * bits + 12);
}

// Dynamic shared bytes of kernel ..._wgmma_n<n>.
NIBBLE_INLINE int64_t skinny_wgmma_shared_bytes(int bits, int n, int x_stages, int rings,
                                                int weight_stages) {
  return SKINNY_ALIGNMENT + x_stages * skinny_x_stage_bytes(n) +
         rings * weight_stages * skinny_weight_stage_bytes(bits);
}

// Stages within shared_limit bytes: all of a chain's columns of x if two rings of two stages of weights
// fit beside them. Returns those of x; *rings: as many as have two stages, but no more than there are
// warpgroups for; *weight_stages: of a ring, 0 where it does not fit.
NIBBLE_INLINE int skinny_wgmma_plan(int bits, int n, int a16, int64_t columns,
                                    int64_t shared_limit, int* rings, int* weight_stages) {
  int64_t units = nibble_padded_columns(columns) / NIBBLE_COLUMN_UNIT;
  int64_t chain = (units + 15) / 16 * 4;
  int64_t x_stages = chain < units ? chain : units;
  int64_t stage = skinny_weight_stage_bytes(bits);
  int64_t most = SKINNY_WGMMA_CONSUMERS(n, a16) / SKINNY_WGMMA_PARTS(n, a16);
  int64_t room = shared_limit - SKINNY_STATIC_BYTES - SKINNY_ALIGNMENT;
  int64_t fit = (room - x_stages * skinny_x_stage_bytes(n)) / stage;
  if (x_stages > SKINNY_X_STAGES || fit < 4) {
    x_stages = SKINNY_FEW_X_STAGES;
    fit = (room - x_stages * skinny_x_stage_bytes(n)) / stage;
  }
  if (fit < 4) fit = 0;
  *rings = (int)(fit / 2 < most ? fit / 2 : most);
  fit = *rings == 0 ? 0 : fit / *rings;
  *weight_stages = (int)(fit < SKINNY_WEIGHT_STAGES ? fit : SKINNY_WEIGHT_STAGES);
  return (int)x_stages;
}

#endif  // NIBBLE_SKINNY_H
