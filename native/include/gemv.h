// Decode's weight stream: y = W x for 1 to GEMV_MAX_TOKENS tokens, W packed in 2, 3, 4, 6 or 8 bits
// (packed_layout.h), x 16 bits or wider. Floor: the packed bytes at the memory's read bandwidth; on an
// H200 (4.57 TB/s) a W4 matrix of groups of 128 needs 0.115 us for each million weights.
//
// One launch takes up to GEMV_MAX_SEGMENTS matrices that read the same x (q, k, v; gate, up). Their
// qweight, scales and zeros lie one after the other, so that they look like one matrix of their padded
// rows; each has its own output.
//
// Arithmetic, the same for every number of tokens and every launch shape, so that a token's result
// does not depend on its batch:
//   x of each run of min(group, 128) columns becomes q = round(x 32512 / max |x|), an integer of 15
//   bits and a sign, held as int8 high and low parts; a run's product is the exact integer
//   d = sum (code - zero) q, times (scale * run scale) in fp32. The runs of a 512-column block add up
//   as four interleaved sums and then ((0 + 1) + 2) + 3, and so do the blocks. With a norm, q is
//   taken of x * weight, and the reciprocal root mean square multiplies the sum.
//
// Kernel: gemv_w<bits>_g<run>_m<t> in the image gemv_w<bits>; run = 128 where group_size is 0, else
// group_size; t = 1, 2 or 4, the least that holds the tokens. Launch (see gemv_plan):
//   grid (gemv_grid, 1, 1), block (32 * warps, 1, 1), dynamic shared memory gemv_shared_bytes.
// With programmatic dependent launch the kernel reads qweight, scales, zeros, norm_weight and
// channel_order before it waits for the kernel before it: nothing in flight may still write those.
#ifndef NIBBLE_GEMV_H
#define NIBBLE_GEMV_H

#include <assert.h>
#include <stdint.h>

#include "packed_layout.h"

#define GEMV_MAX_TOKENS 4
#define GEMV_MAX_SEGMENTS 3
#define GEMV_MAX_WARPS 16
#define GEMV_USUAL_WARPS 12
#define GEMV_FEW_WARPS 8
#define GEMV_MIN_WARPS 4
#define GEMV_MAX_STAGES 8
#define GEMV_TASK_COLUMNS 256    // columns of x that a warp quantizes at a time
#define GEMV_SEGMENT_BYTES 48
#define GEMV_ARGS_BYTES 232

// Shared memory that a block asks for if it has the choice, on an H200. In a layer products behind a norm
// take turns with products that are added: the two fill a multiprocessor, so that each fills its rings
// while the one before it works.
#define GEMV_NORM_SHARED_TARGET 125000
#define GEMV_ADD_SHARED_TARGET 100000
// And what gate and up ask for at least: more than half of a multiprocessor's, also where the rings need
// less, or two of their blocks share one. Without it a llama-2-13b step of 3 bits takes 2.03 ms instead of
// 1.88, of 2 bits 1.80 instead of 1.48.
#define GEMV_PAIR_SHARED_LEAST 118000
// Of others less than half, so that any next launch fills its rings while this one works (22016 x 4096 of
// 2 bits takes a fifth less than with more than half); but much for a block of so many bytes that filling
// matters little (of 4 bits 7 % less than with half). In a layer the latter costs 2 % (llama-2-13b, q k v).
#define GEMV_SHARED_TARGET 95000
#define GEMV_LONG_SHARED_TARGET 190000
#define GEMV_LONG_BYTES 300000

// What happens to v = (W x)[row] + bias[row] + addend[row].
#define GEMV_STORE_F16 0   // y fp16: v
#define GEMV_STORE_F32 1   // y fp32: v
#define GEMV_ADD_F32 2     // y fp32: y + v
#define GEMV_RELU_F16 3    // y fp16: max(v, 0)
#define GEMV_SWIGLU_F16 4  // y of segment 0, fp16: silu(v of segment 0) * v of segment 1

struct gemv_segment {
  // [tokens, y_stride] of the epilogue's type, columns 0 to rows - 1 written.
  void* y;
  // fp32 [rows], or null.
  const float* bias;
  // fp32 [tokens, addend_stride], or null: what outlier columns add.
  const float* addend;
  int64_t y_stride;
  int64_t addend_stride;
  // Unpadded rows of this matrix.
  int32_t rows;
  int32_t reserved;
};

struct gemv_args {
  // Packed codes of all segments; 16-byte aligned.
  const uint8_t* qweight;
  // fp16 scales of all segments; 16-byte aligned.
  const void* scales;
  // u8 zeros of all segments; 16-byte aligned. Null: symmetric, 2^(bits-1).
  const uint8_t* zeros;
  // fp16 [tokens, x_stride], or with a norm fp32 [tokens, x_stride]; 16-byte aligned.
  const void* x;
  // fp32 [columns]; 16-byte aligned. Null: no norm, x is fp16. Else RMSNorm comes first.
  const float* norm_weight;
  // [columns]: column i of the product reads channel channel_order[i] of x and norm_weight. Only
  // with a norm; null: in order. 16-byte aligned.
  const uint16_t* channel_order;
  // GEMV_MAX_SEGMENTS of them.
  struct gemv_segment segments[3];
  // Elements from one token to the next: a multiple of 8.
  int64_t x_stride;
  // Added to the mean square.
  float epsilon;
  // Unpadded columns.
  int32_t columns;
  int32_t tokens;
  // 32, 64 or 128, or 0 for one scale a row.
  int32_t group_size;
  int32_t segment_count;
  int32_t epilogue;
  // Stages of each warp's ring, from gemv_plan.
  int32_t stages;
  int32_t reserved;
};

#ifdef __cplusplus
static_assert(sizeof(struct gemv_segment) == GEMV_SEGMENT_BYTES, "the launcher fills these bytes");
static_assert(sizeof(struct gemv_args) == GEMV_ARGS_BYTES, "the launcher fills these bytes");
#endif

// The launcher mirrors what follows, and a test compares them; padded_rows is the sum of all segments'
// padded rows, tokens the kernel's t.

NIBBLE_INLINE int64_t gemv_ceil(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Work items: 16 rows (W3: 32), and for GEMV_SWIGLU_F16 the same rows of gate and up.
NIBBLE_INLINE int64_t gemv_items(int bits, int64_t padded_rows, int epilogue) {
  return padded_rows / nibble_tile_rows(bits) / (epilogue == GEMV_SWIGLU_F16 ? 2 : 1);
}

NIBBLE_INLINE int64_t gemv_grid(int bits, int64_t padded_rows, int epilogue,
                                int multiprocessors) {
  int64_t items = gemv_items(bits, padded_rows, epilogue);
  return items < multiprocessors ? items : multiprocessors;
}

// Bytes of a stage, a tile's rows by a block of columns: codes, scales, zeros.
NIBBLE_INLINE int gemv_stage_bytes(int bits, int group_size) {
  int groups = NIBBLE_COLUMN_BLOCK / (group_size == 0 ? 128 : group_size);
  return nibble_tile_rows(bits) * (NIBBLE_COLUMN_BLOCK / 8 * bits + 3 * groups);
}

// Tiles of a block, at most.
NIBBLE_INLINE int64_t gemv_block_tiles(int bits, int64_t padded_rows, int epilogue,
                                       int multiprocessors) {
  int64_t grid = gemv_grid(bits, padded_rows, epilogue, multiprocessors);
  return gemv_ceil(gemv_items(bits, padded_rows, epilogue), grid) *
         (epilogue == GEMV_SWIGLU_F16 ? 2 : 1);
}

// Shared bytes besides the ring: x in int8 parts and a block of zeros, the runs' scales and sums, the
// sums of squares, and every column block's partial results.
NIBBLE_INLINE int64_t gemv_fixed_bytes(int64_t columns, int group_size, int tokens,
                                       int64_t block_tiles, int tile_rows) {
  int64_t blocks = gemv_ceil(columns, NIBBLE_COLUMN_BLOCK);
  int64_t x_columns = blocks * NIBBLE_COLUMN_BLOCK;
  int run = group_size == 0 ? 128 : group_size;
  return tokens * (2 * (x_columns + NIBBLE_COLUMN_BLOCK) + 8 * (x_columns / run) +
                   4 * (x_columns / GEMV_TASK_COLUMNS) + 4 * block_tiles * blocks * tile_rows);
}

// Dynamic shared bytes of a block that may have shared_limit; each stage has a barrier of 8 bytes.
NIBBLE_INLINE int64_t gemv_shared_bytes(int bits, int group_size, int warps, int stages,
                                        int64_t fixed_bytes, int64_t shared_limit, int epilogue) {
  int64_t bytes = (int64_t)warps * stages * (gemv_stage_bytes(bits, group_size) + 8) + fixed_bytes;
  int64_t least = shared_limit < GEMV_PAIR_SHARED_LEAST ? shared_limit : GEMV_PAIR_SHARED_LEAST;
  return epilogue == GEMV_SWIGLU_F16 && bytes < least ? least : bytes;
}

// Shared bytes that the rings of a block and the rest should stay within.
NIBBLE_INLINE int64_t gemv_target(int epilogue, int normed, int64_t ring_bytes) {
  if (epilogue == GEMV_ADD_F32) return GEMV_ADD_SHARED_TARGET;
  if (normed) return GEMV_NORM_SHARED_TARGET;
  return ring_bytes > GEMV_LONG_BYTES ? GEMV_LONG_SHARED_TARGET : GEMV_SHARED_TARGET;
}

// Stages of each warp and *warps of a block that may have shared_limit bytes: as many stages as stay
// within the target; all warps where the product is added, where a warp each does all items, for 2
// bits, whose items are small, and where x is so long that quantizing it is much of the work; else
// GEMV_FEW_WARPS or few more, which leave registers for the kernels around this one. No more warps than
// make the longest list of items shorter, but GEMV_USUAL_WARPS to quantize x where every list is of one
// item, and apart from a layer as many as let each keep to its column block, if no stage is lost (22016
// x 4096 of 2 bits 5 % less with 16 than with 15). On an H200 a llama-2-7b step of 4, 3 and 2 bits is at
// most 1 % faster with the best of all plans, and 2, 22 and 33 % slower with 12 to 15 warps for
// everything. 0 where not even GEMV_MIN_WARPS stages fit: skinny.h takes such a product.
NIBBLE_INLINE int gemv_plan(int bits, int group_size, int64_t columns, int64_t block_tiles,
                            int64_t fixed_bytes, int64_t shared_limit, int epilogue, int normed,
                            int* warps) {
  int64_t blocks = gemv_ceil(columns, NIBBLE_COLUMN_BLOCK);
  int64_t items = block_tiles * blocks;
  int64_t stage = gemv_stage_bytes(bits, group_size) + 8;
  int64_t most_fit = (shared_limit - fixed_bytes) / stage;
  int64_t fit = (gemv_target(epilogue, normed, items * stage) - fixed_bytes) / stage;
  int many = epilogue == GEMV_ADD_F32 || bits == 2 || items <= GEMV_MAX_WARPS ||
             columns > 2 * GEMV_MAX_WARPS * GEMV_TASK_COLUMNS;
  int64_t usual = many ? GEMV_MAX_WARPS : GEMV_FEW_WARPS;
  int64_t most, rounds, stages;
  if (epilogue == GEMV_ADD_F32 && fit < GEMV_USUAL_WARPS) {
    fit = (GEMV_NORM_SHARED_TARGET - fixed_bytes) / stage;
  }
  if (fit < GEMV_MIN_WARPS || fit > most_fit) fit = most_fit;
  if (fit < GEMV_MIN_WARPS) return 0;
  most = fit < usual ? fit : fit / (fit / usual);
  if (most > GEMV_MAX_WARPS) most = GEMV_MAX_WARPS;
  rounds = gemv_ceil(items, most);
  if (rounds > 1) {
    most = gemv_ceil(items, rounds);
  } else if (most > GEMV_USUAL_WARPS) {
    most = items > GEMV_USUAL_WARPS ? items : GEMV_USUAL_WARPS;
  }
  if (!normed && epilogue != GEMV_ADD_F32 && most > blocks) {
    int64_t even = gemv_ceil(most, blocks) * blocks;
    if (even <= GEMV_MAX_WARPS && fit / even == fit / most) most = even;
  }
  stages = fit / most < rounds ? fit / most : rounds;
  *warps = (int)most;
  return (int)(stages < GEMV_MAX_STAGES ? stages : GEMV_MAX_STAGES);
}

#endif  // NIBBLE_GEMV_H
