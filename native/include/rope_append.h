// Between the q, k, v products and attention, where attention does not do it itself (prefill):
// per head RMSNorm of q and k (Qwen3), rotary embedding of q and k, fake quantization of q, and the
// append of k and v to the cache. Row r is at positions[r] of the sequence caches[r * cache_step]: cache_step 0
// for many tokens of one sequence, 1 for a token of each. A row whose position is negative is idle.
//
// Pair i of a head is channels i and i + head_dim/2; it turns by frequency order[kv head][i], or i.
// A warp a head, query heads first, then keys, then values:
//   grid (rows, ceil((heads + 2 kv_heads) / ROPE_APPEND_WARPS), 1), block (32 * ROPE_APPEND_WARPS, 1, 1),
//   no dynamic shared memory.
#ifndef NIBBLE_ROPE_APPEND_H
#define NIBBLE_ROPE_APPEND_H

#include <assert.h>
#include <stdint.h>

#include "kv_cache.h"

#define ROPE_APPEND_WARPS 4
#define ROPE_APPEND_ARGS_BYTES 160

struct rope_append_args {
  // fp16 [rows, q_stride], its first heads * head_dim used.
  const void* q;
  // fp16 [rows, kv_stride].
  const void* k;
  // fp16 [rows, kv_stride].
  const void* v;
  // fp16 [rows, q_out_stride]. May be q.
  void* q_out;
  // [rows].
  const int32_t* positions;
  // Blocks of sequences, see kv_cache.h.
  void* const* caches;
  // [positions, head_dim / 2]; null for no rotation.
  const float* cosines;
  const float* sines;
  // [kv_heads, head_dim / 2] or null.
  const uint16_t* order;
  // [head_dim] or null.
  const float* q_norm;
  const float* k_norm;
  // Bytes from the start of a sequence's block to this layer's region.
  int64_t layer_offset;
  // Positions a sequence has room for.
  int64_t capacity;
  // Elements from one row to the next.
  int64_t q_stride;
  int64_t kv_stride;
  int64_t q_out_stride;
  int32_t heads;
  int32_t kv_heads;
  // A multiple of 16 up to 128.
  int32_t head_dim;
  // 16, 8, 4 or 3.
  int32_t kv_bits;
  // Bits of the queries, 16 for none.
  int32_t query_bits;
  // 0 or 1.
  int32_t cache_step;
  float epsilon;
  int32_t reserved;
};

static_assert(sizeof(struct rope_append_args) == ROPE_APPEND_ARGS_BYTES, "the launcher fills these bytes");

#endif  // NIBBLE_ROPE_APPEND_H
