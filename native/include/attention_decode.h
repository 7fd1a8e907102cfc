// Attention of one new token of each of `rows` sequences, with all that is around it: per head
// RMSNorm of q and k, rotary embedding, fake quantization of q (as rope_append.h has them), append
// of k and v to the cache, and softmax(q k / sqrt(head_dim)) v over the cache, the new token
// included. A row whose position is negative is idle: its output is zeros, its cache stays.
//
// A sequence's positions [position + 1 - window or 0, position] make 32 segments of whole tiles of 16; a warp
// goes through a segment, four of them make a partial sum, and the eight partial sums of a head are
// added in order. So a row's result depends neither on the other rows nor on how many blocks share
// the work. Up to 8 query heads of a KV head share a block:
//   grid (kv_heads * ceil(heads / kv_heads / 8), splits, rows), block (ATTENTION_DECODE_THREADS, 1, 1),
//   splits 1, 2, 4 or 8, dynamic shared memory attention_decode_shared_bytes. On compute capability
//   9.0 and newer, with the images of sm_90a, clusters of (1, splits, 1) blocks save the way through
//   `partials`.
// Kernels: attention_decode_kvB_D for B in 16, 8, 4 and D in 64, 128, and attention_decode_kv3_128;
// attention_decode_any for all else, and all of it.
// Read before the wait for the previous kernel: positions, caches, the tables, the order, the cache. They
// must not change in the graph that this kernel runs in, but for this kernel's own append; and where
// steps follow each other without a graph, a step's first kernel must wait for the whole step before.
// Fastest on an H200: splits the largest that leaves rows * grid x * splits at most 4 blocks a
// multiprocessor (3 at 16 bits), as clusters where that is at most 2.5; with many rows, no more of a
// multiprocessor's memory as shared memory than those blocks need, and for splits 1 and more than 4
// rows more dynamic shared memory than a block needs where fewer at once are spread more evenly (256
// blocks: 2).
#ifndef NIBBLE_ATTENTION_DECODE_H
#define NIBBLE_ATTENTION_DECODE_H

#include <assert.h>
#include <stdint.h>

#include "kv_cache.h"

#define ATTENTION_DECODE_THREADS 128
#define ATTENTION_DECODE_QUERIES 8   // query heads that share a block
#define ATTENTION_DECODE_SPLITS 8    // most blocks that share a row and head
// Floats of a partial sum of a query head: maximum, sum of weights, weighted values.
#define ATTENTION_DECODE_PARTIAL 132
// Shared bytes of a block besides the dynamic ones, at most; what the device keeps included.
#define ATTENTION_DECODE_STATIC_BYTES 4352
#define ATTENTION_DECODE_ARGS_BYTES 176

struct attention_decode_args {
  // fp16 [rows, qkv_stride], heads * head_dim of each; q, k and v may be parts of one row.
  const void* q;
  // fp16 [rows, qkv_stride], kv_heads * head_dim of each.
  const void* k;
  const void* v;
  // fp16 [rows, out_stride].
  void* out;
  // [rows] of the new token; below the capacity.
  const int32_t* positions;
  // [rows] blocks of the sequences, see kv_cache.h.
  void* const* caches;
  // [positions, head_dim / 2]; null for no rotation.
  const float* cosines;
  const float* sines;
  // [kv_heads, head_dim / 2] or null.
  const uint16_t* order;
  // [head_dim] or null.
  const float* q_norm;
  const float* k_norm;
  // [rows, grid x, 8, ATTENTION_DECODE_QUERIES, ATTENTION_DECODE_PARTIAL]; not used when splits is 1
  // or the size of the cluster.
  float* partials;
  // [rows, grid x], zeros before the first launch and after each; not used as above.
  uint32_t* arrivals;
  // Bytes from the start of a sequence's block to this layer's region.
  int64_t layer_offset;
  // Positions a sequence has room for.
  int64_t capacity;
  // Elements from one row to the next: multiples of 2.
  int64_t qkv_stride;
  int64_t out_stride;
  int32_t heads;
  int32_t kv_heads;
  // A multiple of 16 up to 128.
  int32_t head_dim;
  // 16, 8, 4 or 3.
  int32_t kv_bits;
  // Bits of the queries, 16 for none.
  int32_t query_bits;
  // Positions a query sees, its own included; 0 for all.
  int32_t window;
  float epsilon;
  int32_t reserved[3];
};

static_assert(sizeof(struct attention_decode_args) == ATTENTION_DECODE_ARGS_BYTES,
              "the launcher fills these bytes");

// Partial sums of a block: queries is the most that share one.
KV_INLINE int attention_decode_shared_bytes(int queries) {
  return (4 * queries + 8 * ((queries + 1) / 2)) * 4 * ATTENTION_DECODE_PARTIAL;
}

#endif  // NIBBLE_ATTENTION_DECODE_H
