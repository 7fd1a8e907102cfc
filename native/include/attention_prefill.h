// Causal attention of `tokens` new tokens of one sequence, at positions position, position + 1, ...,
// whose keys and values are in the cache already: softmax(q k / sqrt(head_dim)) v over positions
// [own + 1 - window or 0, own]. Keys and values are fp16 rows: a 16-bit cache's, or what kv_stage
// restored. A token's result does not depend on how the prompt is cut into calls.
// Kernels: attention_prefill_64 and attention_prefill_128 for head_dim 64 and 128; attention_prefill_any
// for all head sizes.
//   grid (ceil(tokens / ATTENTION_PREFILL_ROWS), heads, 1), block (ATTENTION_PREFILL_THREADS, 1, 1),
//   dynamic shared memory ATTENTION_PREFILL_SHARED_64 or _128 bytes with the image of sm_90a;
//   ATTENTION_PREFILL_SHARED_ANY with the others and for attention_prefill_any.
#ifndef NIBBLE_ATTENTION_PREFILL_H
#define NIBBLE_ATTENTION_PREFILL_H

#include <assert.h>
#include <stdint.h>

#define ATTENTION_PREFILL_ROWS 128
#define ATTENTION_PREFILL_THREADS 384
#define ATTENTION_PREFILL_SHARED_64 83968
#define ATTENTION_PREFILL_SHARED_128 165888
#define ATTENTION_PREFILL_SHARED_ANY 69632
#define ATTENTION_PREFILL_ARGS_BYTES 88

struct attention_prefill_args {
  // fp16 [tokens, q_stride], heads * head_dim of each; 16-byte aligned.
  const void* q;
  // fp16 [kv_heads, capacity, head_dim]; 16-byte aligned.
  const void* keys;
  const void* values;
  // fp16 [tokens, out_stride]; 16-byte aligned.
  void* out;
  // Rows of a head of keys.
  int64_t capacity;
  // Elements from one token to the next: multiples of 8.
  int64_t q_stride;
  int64_t out_stride;
  int32_t tokens;
  // Of the first token: tokens before it in the cache.
  int32_t position;
  int32_t heads;
  int32_t kv_heads;
  // A multiple of 16 up to 128.
  int32_t head_dim;
  // Positions a query sees, its own included; 0 for all.
  int32_t window;
  int32_t reserved[2];
};

static_assert(sizeof(struct attention_prefill_args) == ATTENTION_PREFILL_ARGS_BYTES,
              "the launcher fills these bytes");

#endif  // NIBBLE_ATTENTION_PREFILL_H
