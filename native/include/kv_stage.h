// Restores the first `positions` positions of a quantized layer (8, 4 or 3 bits) to fp16, in the
// layout of a 16-bit cache, for attention_prefill.
//   grid (ceil(positions / KV_STAGE_THREADS), kv_heads, 2), the last 0 for keys, 1 for values,
//   block (KV_STAGE_THREADS, 1, 1), no dynamic shared memory.
#ifndef NIBBLE_KV_STAGE_H
#define NIBBLE_KV_STAGE_H

#include <assert.h>
#include <stdint.h>

#include "kv_cache.h"

#define KV_STAGE_THREADS 128
#define KV_STAGE_ARGS_BYTES 64

struct kv_stage_args {
  // The layer's region of a sequence's block, see kv_cache.h.
  const void* region;
  // fp16 [kv_heads, stage_capacity, head_dim]; 16-byte aligned.
  void* keys;
  void* values;
  // Positions the region has room for.
  int64_t capacity;
  // At least positions.
  int64_t stage_capacity;
  int32_t positions;
  int32_t kv_heads;
  // A multiple of 16 up to 128.
  int32_t head_dim;
  // 8, 4 or 3.
  int32_t kv_bits;
  int32_t reserved[2];
};

static_assert(sizeof(struct kv_stage_args) == KV_STAGE_ARGS_BYTES, "the launcher fills these bytes");

#endif  // NIBBLE_KV_STAGE_H
