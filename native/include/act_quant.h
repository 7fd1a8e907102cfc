// Quantizes activations per token: x [tokens, columns] fp16 to signed codes of 4 to 8 bits.
//
//   asymmetric  h = (max - min) / (2^bits - 1) within [1e-5, 1e4], z = round(-min / h)
//   symmetric   h = max |x| / (2^(bits-1) - 1) within the same bounds, z = 2^(bits-1)
//   code = clamp(round(x / h) + z, 0, 2^bits - 1) - 2^(bits-1), so x ~ h (code - zero)
//
// in fp32, half to even, divisions exact. One block a token:
//   grid (tokens, 1, 1), block (ACT_QUANT_THREADS, 1, 1), no dynamic shared memory.
// The stated alignments are the caller's to keep. x must be finite.
#ifndef NIBBLE_ACT_QUANT_H
#define NIBBLE_ACT_QUANT_H

#include <assert.h>
#include <stdint.h>

#define ACT_QUANT_THREADS 256
#define ACT_QUANT_ARGS_BYTES 64

#define ACT_QUANT_ASYMMETRIC 0
#define ACT_QUANT_SYMMETRIC 1

struct act_quant_args {
  // fp16 [tokens, x_stride]; 16-byte aligned.
  const void* x;
  // [tokens, columns padded to NIBBLE_COLUMN_UNIT], 0 in the padding; 8-byte aligned.
  int8_t* codes;
  // [tokens] h.
  float* scales;
  // [tokens] z - 2^(bits-1): an integer, but beyond int32 where a token's values are all but equal.
  float* zeros;
  // [tokens, ceil(columns / group_columns)] sums of the codes of each group.
  int32_t* sums;
  // Elements from one token to the next: a multiple of 8, at least columns.
  int64_t x_stride;
  int32_t columns;
  // Columns of a sum: 32, 64 or 128, or columns for one sum a token.
  int32_t group_columns;
  int32_t bits;
  // ACT_QUANT_ASYMMETRIC or ACT_QUANT_SYMMETRIC.
  int32_t range;
};

static_assert(sizeof(struct act_quant_args) == ACT_QUANT_ARGS_BYTES, "the launcher fills these bytes");

#endif  // NIBBLE_ACT_QUANT_H
