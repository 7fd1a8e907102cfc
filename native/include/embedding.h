// Starts the residual stream: out[row] = table[tokens[row]], plus learned[positions[row]] for
// models with learned positions. A row whose token is negative becomes zeros.
//   grid (rows, ceil(columns / EMBEDDING_COLUMNS), 1), block (EMBEDDING_THREADS, 1, 1), no dynamic
//   shared memory.
#ifndef NIBBLE_EMBEDDING_H
#define NIBBLE_EMBEDDING_H

#include <assert.h>
#include <stdint.h>

#define EMBEDDING_THREADS 128
#define EMBEDDING_COLUMNS 512  // of a block
#define EMBEDDING_ARGS_BYTES 64

#define EMBEDDING_F32 0
#define EMBEDDING_F16 1
#define EMBEDDING_BF16 2

struct embedding_args {
  // [vocab, columns] of `dtype`.
  const void* table;
  // [rows], below the vocabulary's size.
  const int32_t* tokens;
  // [positions, columns] of `learned_dtype`, or null.
  const void* learned;
  // [rows]; not read without `learned`.
  const int32_t* positions;
  // fp32 [rows, out_stride].
  float* out;
  // Elements from one row to the next.
  int64_t out_stride;
  int32_t columns;
  // EMBEDDING_F32, EMBEDDING_F16 or EMBEDDING_BF16.
  int32_t dtype;
  int32_t learned_dtype;
  int32_t reserved;
};

static_assert(sizeof(struct embedding_args) == EMBEDDING_ARGS_BYTES, "the launcher fills these bytes");

#endif  // NIBBLE_EMBEDDING_H
