// Lays activations out as the matrix products of gemm.h read them from shared memory, so that a
// stage of theirs is one contiguous copy.
//
// A tiled matrix [tokens, columns] is a run of k tiles, each [tokens padded to 8][128 bytes]: 64
// columns of fp16, 128 of int8 or 256 of int4, columns padded with zeros to NIBBLE_COLUMN_UNIT, or
// to 256 for int4. Byte b of a token's 128 lies at b ^ 16 (token mod 8), the 128-byte swizzle of the
// tensor cores.
// fp16 columns are permuted within each 16: pairs 0 2 4 6 1 3 5 7, so that the four codes of a word
// of the packed layout, neighbouring columns, are what one lane gives to one product of depth 16.
// int4 columns lie as in a byte of W4 (packed_layout.h): within each 64, column p in the low half of
// byte p and column p + 32 in the high one.
//
// Kernel gemm_tile: grid (ceil(tokens padded / 64), k tiles, 1), block (GEMM_TILE_THREADS, 1, 1), no dynamic shared memory. Tokens of the
// padding are written as zeros.
#ifndef NIBBLE_GEMM_TILE_H
#define NIBBLE_GEMM_TILE_H

#include <assert.h>
#include <stdint.h>

#include "packed_layout.h"

#define GEMM_TILE_THREADS 256
#define GEMM_TILE_ARGS_BYTES 40
#define GEMM_TILE_TOKENS 64       // tokens of a block of the grid
#define GEMM_TILE_TOKEN_UNIT 8    // tokens are padded to this many
#define GEMM_TILE_ROW_BYTES 128   // bytes of a token in a k tile

#define GEMM_TILE_HALVES 0           // fp16 to fp16
#define GEMM_TILE_CODES 1            // int8 to int8
#define GEMM_TILE_CODES_TO_HALVES 2  // int8 to fp16
#define GEMM_TILE_CODES_TO_FOURS 3   // int8, -8 to 7, to int4

struct gemm_tile_args {
  // [tokens, x_stride] fp16 or int8; 16-byte aligned.
  const void* x;
  // nibble_tiled_bytes; 128-byte aligned.
  void* tiled;
  // Elements from one token to the next, at least columns: a multiple of 8 for fp16, 16 for int8.
  int64_t x_stride;
  int32_t tokens;
  int32_t columns;
  // GEMM_TILE_HALVES, GEMM_TILE_CODES, GEMM_TILE_CODES_TO_HALVES or GEMM_TILE_CODES_TO_FOURS.
  int32_t kind;
  int32_t reserved;
};

static_assert(sizeof(struct gemm_tile_args) == GEMM_TILE_ARGS_BYTES,
              "the launcher fills these bytes");

NIBBLE_INLINE int64_t nibble_tiled_tokens(int64_t tokens) {
  return (tokens + GEMM_TILE_TOKEN_UNIT - 1) / GEMM_TILE_TOKEN_UNIT * GEMM_TILE_TOKEN_UNIT;
}

// element_bytes: 2 for fp16, 1 for int8.
NIBBLE_INLINE int64_t nibble_tiled_bytes(int64_t tokens, int64_t columns, int element_bytes) {
  return nibble_tiled_tokens(tokens) * nibble_padded_columns(columns) * element_bytes;
}

// Byte of the tiled matrix where an element begins.
NIBBLE_INLINE int64_t nibble_tiled_offset(int64_t tokens, int64_t token, int64_t column,
                                          int element_bytes) {
  int64_t pair = column / 2 % 8;
  int64_t slot = element_bytes == 2
                     ? column / 16 * 16 + (pair % 2 * 4 + pair / 2) * 2 + column % 2
                     : column;
  int64_t byte = slot * element_bytes;
  return (byte / GEMM_TILE_ROW_BYTES * nibble_tiled_tokens(tokens) + token) * GEMM_TILE_ROW_BYTES +
         (byte % GEMM_TILE_ROW_BYTES ^ 16 * (token % 8));
}

#endif  // NIBBLE_GEMM_TILE_H
