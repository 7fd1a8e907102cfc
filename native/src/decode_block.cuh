// What a block of attention_decode works on, and its preparation: the queries, and the new token's key
// and value as the cache holds them.
#ifndef NIBBLE_DECODE_BLOCK_CUH
#define NIBBLE_DECODE_BLOCK_CUH

#include "attention_decode.h"
#include "head_row.cuh"
#include "kv_fragments.cuh"
#include "softmax_sum.cuh"

namespace nibble {

constexpr int kDecodeWarps = ATTENTION_DECODE_THREADS / 32;
constexpr int kQueries = ATTENTION_DECODE_QUERIES;
constexpr int kGroups = ATTENTION_DECODE_SPLITS;
constexpr int kSegments = kGroups * kDecodeWarps;
constexpr int kTile = KV_TILE_POSITIONS;
constexpr int kPartial = ATTENTION_DECODE_PARTIAL;
constexpr int kPartialValues = 4;  // of a partial sum: after its maximum and its sum of weights

// What a block works on.
struct DecodeWork {
  const char* keys;
  const char* values;
  const uint2* steps;
  RowShape shape;
  int row_bytes;
  int position;
  // First position that the query sees.
  int start;
  int queries;
  // Scores to powers of 2.
  float score_scale;

  // First tile of a segment.
  __device__ __forceinline__ int tile_of(int segment) const {
    const int first = start / kTile, tiles = position / kTile - first + 1;
    return first + static_cast<int>(static_cast<int64_t>(segment) * tiles / kSegments);
  }
};

struct DecodeShared {
  __half queries[kQueries][kMaxHeadDim + 8];
  float query_sums[kQueries];
  // The new token's rows as the cache holds them: key, value.
  __align__(16) uint32_t rows[2][kMaxRowWords];
  uint8_t codes[2][kMaxHeadDim];
  KvStep steps[2];
  uint32_t arrived;
};

constexpr int kKeptBytes = 1024;  // of each block, by the device
static_assert(sizeof(DecodeShared) + kKeptBytes <= ATTENTION_DECODE_STATIC_BYTES,
              "the launcher counts on no more");

// Partial sums in a block's dynamic shared memory.
struct DecodeSums {
  using Row = float[kPartial];

  Row* rows;
  int queries;

  // Of the queries, of a warp's segment, or of a group where each is one warp's.
  __device__ __forceinline__ Row* slot(int i) const { return rows + i * queries; }

  // Where kDecodeWarps slots are enough, what follows them: partial sums of all groups for the outputs
  // that this block of a cluster writes, `rounds` rows of them, each maximum and sum of weights, of two
  // queries where head_dim is 64, then a value for each thread;
  __device__ __forceinline__ float* gathered(int group, int round, int rounds) const {
    return slot(kDecodeWarps)[group * rounds + round];
  }

  // or the sums so far, where one block does a group after the other, each thread's own.
  __device__ __forceinline__ SoftmaxSum* so_far() const {
    return reinterpret_cast<SoftmaxSum*>(slot(kDecodeWarps));
  }
};

// Prepares the queries and, in the block that has the sequence's last tile, the new key and value.
__device__ __forceinline__ void prepare(const attention_decode_args& args, const DecodeWork& work,
                                        const Rotation& rotation, int64_t row, int kv_head,
                                        int first_head, bool owner, bool appends, DecodeShared& shared) {
  const int head_dim = work.shape.head_dim, bits = work.shape.bits;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int own = owner ? 2 : 0;
  for (int item = warp; item < kQueries + own; item += kDecodeWarps) {
    if (item >= own) {
      const int query = item - own;
      if (query >= work.queries) {
        for (int i = lane; i < kMaxHeadDim; i += 32) shared.queries[query][i] = __half(0.0f);
        if (lane == 0) shared.query_sums[query] = 0.0f;
        continue;
      }
      HeadRow x(static_cast<const __half*>(args.q) + row * args.qkv_stride +
                    (first_head + query) * head_dim,
                head_dim);
      if (args.q_norm) x.norm(args.q_norm, args.epsilon);
      if (args.cosines) x.rotate(rotation);
      if (args.query_bits < 16) x.fake_quantize(args.query_bits);
      const float sum = bits < 16 ? x.half_sum() : 0.0f;
      for (int i = head_dim + lane; i < kMaxHeadDim; i += 32) {
        shared.queries[query][i] = __half(0.0f);
      }
      x.write(shared.queries[query]);
      if (lane == 0) shared.query_sums[query] = sum;
      continue;
    }
    const __half* source = static_cast<const __half*>(item == 0 ? args.k : args.v);
    HeadRow x(source + row * args.qkv_stride + kv_head * head_dim, head_dim);
    if (item == 0) {
      if (args.k_norm) x.norm(args.k_norm, args.epsilon);
      if (args.cosines) x.rotate(rotation);
    }
    const KvStep step = x.encode(bits, shared.rows[item], shared.codes[item]);
    if (lane == 0) shared.steps[item] = step;
    if (!appends) continue;
    char* to = const_cast<char*>(item == 0 ? work.keys : work.values) +
               int64_t{work.position} * work.row_bytes;
    for (int w = lane; w < work.row_bytes / 4; w += 32) {
      reinterpret_cast<uint32_t*>(to)[w] = shared.rows[item][w];
    }
    if (bits < 16 && lane == 0) {
      reinterpret_cast<KvStep*>(const_cast<uint2*>(work.steps) + work.position)[item] = step;
    }
  }
}

}  // namespace nibble

#endif  // NIBBLE_DECODE_BLOCK_CUH
