// Products of many tokens with a linear's weights, y [tokens, rows] = x [tokens, columns] W^T, for
// prompts and large batches. x is tiled (gemm_tile.h). A token's result does not depend on the
// other tokens, their number, or the tile chosen.
//
// Images and their kernels, TILE being the tokens of a thread block's tile:
//   gemm_a16  gemm_w2a16_TILE, gemm_w3a16_TILE, gemm_w4a16_TILE, gemm_w6a16_TILE, gemm_w8a16_TILE:
//             packed weights, made fp16 in registers, x tiled fp16;
//             gemm_f16_TILE, gemm_bf16_TILE: dense weights, bf16 made fp16 (exact from 2^-14 up);
//   gemm_a8   gemm_w2a8_TILE ... gemm_w8a8_TILE: packed weights, one scale a row, on int8 tensor
//             cores, x tiled int8;
//             gemm_w2a8_groups_TILE ... gemm_w8a8_groups_TILE: the same in groups, W8 symmetric
//             only. gemm_w8a16_TILE with x tiled by GEMM_TILE_CODES_TO_HALVES and the same
//             arguments serves there, and every other width; on an H200 it is the faster one in
//             groups.
//             Not on sm_90a: gemm_w4a4_128, weights of 4 bits, one scale a row, on int4 tensor
//             cores, which Hopper only emulates; x of 4-bit codes, tiled int4.
//
// Codes of activations: y = token_scales (sum - token_zeros row_sums) + bias, where sum runs over
// scale (code - zero) (activation code). Without token_scales y = sum + bias.
//
// On an image for sm_90a, TILE is 64, 128 or, but for _groups, 256;
//   grid (G, 1, 1), G even, best min(T, multiprocessors rounded down to even) where
//     T = 2 ceil(rows / 256) ceil(tokens / TILE);
//   block (GEMM_SM90_THREADS, 1, 1); clusters of 2 blocks, set in the kernel;
//   dynamic shared memory TILE * GEMM_TILE_ROW_BYTES * GEMM_SM90_TOKEN_STAGES +
//     GEMM_SM90_WEIGHT_BYTES + GEMM_SHARED_ALIGNMENT.
// On every other image TILE is 128;
//   grid (G, 1, 1), any G, best min(ceil(rows / 128) ceil(tokens / TILE), multiprocessors);
//   block (GEMM_THREADS, 1, 1);
//   dynamic shared memory TILE * GEMM_TILE_ROW_BYTES * GEMM_STAGES + GEMM_SHARED_ALIGNMENT.
// No tensor maps. A good TILE is the one with the smallest ceil(T / G) (TILE + 32).
#ifndef NIBBLE_GEMM_H
#define NIBBLE_GEMM_H

#include <assert.h>
#include <stdint.h>

#include "gemm_tile.h"

#define GEMM_ARGS_BYTES 120
#define GEMM_ROWS 128  // rows of a thread block's tile
#define GEMM_SM90_THREADS 384
#define GEMM_SM90_TOKEN_STAGES 5
#define GEMM_SM90_WEIGHT_BYTES 49152
#define GEMM_THREADS 256
#define GEMM_STAGES 4
#define GEMM_SHARED_ALIGNMENT 1024

#define GEMM_STORE_F16 0  // y fp16: v, the result with its bias
#define GEMM_STORE_F32 1  // y fp32: v
#define GEMM_ADD_F32 2    // y fp32: y + v

struct gemm_args {
  // nibble_tiled_bytes; 128-byte aligned.
  const void* x;
  // Packed codes, 16-byte aligned; or fp16 or bf16 [rows, weight_stride], 8-byte aligned.
  const void* weight;
  // Packed: fp16 in the order of packed_layout.h; 16-byte aligned.
  const void* scales;
  // Packed: the zeros in the same order, 16-byte aligned, or null where symmetric.
  const uint8_t* zeros;
  // [rows], or null.
  const float* bias;
  // Activation codes: [tokens], or null.
  const float* token_scales;
  // [tokens], or null for 0; not read without token_scales.
  const float* token_zeros;
  // gemm_a8, one scale a row: [tokens] sums of a token's codes. Not read otherwise.
  const int32_t* token_sums;
  // [rows] sum over the columns of scale (code - zero). Null only if token_zeros is.
  const float* row_sums;
  // fp16 or fp32 [tokens, y_stride]; 4-byte aligned.
  void* y;
  // Elements from one token to the next: even, at least rows.
  int64_t y_stride;
  // Dense: elements from one row to the next, at least columns. Any, but a multiple of 4 is fast.
  int64_t weight_stride;
  int32_t tokens;
  // Unpadded.
  int32_t rows;
  // Unpadded; at most 65536 for gemm_a8.
  int32_t columns;
  // Packed: columns that share a scale, 32, 64 or 128, or 0 for one scale a row.
  int32_t group_size;
  // GEMM_STORE_F16, GEMM_STORE_F32 or GEMM_ADD_F32.
  int32_t epilogue;
  // 0.
  int32_t reserved;
};

static_assert(sizeof(struct gemm_args) == GEMM_ARGS_BYTES, "the launcher fills these bytes");

#endif  // NIBBLE_GEMM_H
