// See attention_decode.h. Flash-decoding on tensor cores: a tile of 16 positions is the A operand,
// rows of keys as they lie in memory, and then the same of values, transposed by pairing the words
// of two rows; up to 8 query heads are the B operand. So K and V go from memory to registers once,
// without shared memory, and grouped queries are free.
//
// The scores of a quantized tile are s = h_k (q . codes) + m_k sum(q), and with p = 2^s
//   sum p v = sum (p h_v) codes + sum p m_v,
// where p h_v = 2^(s + log2 h_v) is what has a running maximum, so that it fits fp16.
#include "attention_decode.h"

#include "dependent_launch.cuh"
#include "kv_fragments.cuh"

namespace {

using nibble::HeadRow;
using nibble::KvFormat;
using nibble::KvStep;
using nibble::RowShape;

constexpr int kWarps = ATTENTION_DECODE_THREADS / 32;
constexpr int kQueries = ATTENTION_DECODE_QUERIES;
constexpr int kGroups = ATTENTION_DECODE_SPLITS;
constexpr int kSegments = kGroups * kWarps;
constexpr int kTile = KV_TILE_POSITIONS;
constexpr int kPartial = ATTENTION_DECODE_PARTIAL;
constexpr int kPartialValues = 4;  // of a partial sum: after its maximum and its sum of weights
constexpr unsigned kAllLanes = 0xffffffffu;
// What subnormal codes lack, 2^24.
constexpr float kCodeScale = 16777216.0f;

__device__ __forceinline__ float power_of_2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// A softmax sum: values weighted by 2^(score - maximum), and the weights' sum.
struct Sum {
  float maximum;
  float weights;
  float value;
};

// Adds a partial sum. Always in the same order, which decides the rounding.
__device__ __forceinline__ void add(Sum& sum, float maximum, float weights, float value) {
  if (maximum == -INFINITY) return;
  const float largest = fmaxf(sum.maximum, maximum);
  const float a = power_of_2(sum.maximum - largest), b = power_of_2(maximum - largest);
  sum.maximum = largest;
  sum.weights = __fmaf_rn(sum.weights, a, weights * b);
  sum.value = __fmaf_rn(sum.value, a, value * b);
}

struct Shared {
  __half queries[kQueries][nibble::kMaxHeadDim + 8];
  float query_sums[kQueries];
  // The new token's rows as the cache holds them: key, value.
  __align__(16) uint32_t rows[2][nibble::kMaxRowWords];
  uint8_t codes[2][nibble::kMaxHeadDim];
  KvStep steps[2];
  // Partial sums of the warps' segments.
  float segments[kWarps][kQueries][kPartial];
  union {
    // Partial sums of all groups for the outputs that this block of a cluster writes: maximum and sum
    // of weights, of two queries where head_dim is 64, then a value for each thread.
    float groups[kGroups][kQueries / 2][kPartial];
    // Sums so far, where one block does all groups: each thread's own.
    Sum sums[kQueries * nibble::kMaxHeadDim];
  };
  uint32_t arrived;
};

__device__ __forceinline__ void mma(float (&sum)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                                    uint32_t a3, uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// Two neighbouring columns of an accumulator's rows as an operand whose columns are those rows.
__device__ __forceinline__ uint32_t transposed(float low, float high) {
  const __half2 pair = __floats2half2_rn(low, high);
  uint32_t out;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;"
      : "=r"(out)
      : "r"(reinterpret_cast<const uint32_t&>(pair)));
  return out;
}

__device__ __forceinline__ float log_2(float x) {
  float y;
  asm("lg2.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ __forceinline__ float reciprocal(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// What a block works on.
struct Work {
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
};

// A warp's steps through its segment, kTiles tiles at a time.
template <int kBits, int kDim>
class Segment {
  using Format = KvFormat<kBits, kDim>;
  static constexpr int kKeyWords = Format::kKeyWords;
  static constexpr int kValueWords = Format::kValueWords;
  static constexpr int kPairs = Format::kPairs;
  static constexpr int kMTiles = Format::kMTiles;
  static constexpr int kTiles = Format::kKeyWords >= 8 ? 1 : 2;

 public:
  __device__ __forceinline__ Segment(const Work& work, const Shared& shared)
      : work_(work), shared_(shared), g_(threadIdx.x % 32 / 4), t_(threadIdx.x % 4) {}

  // Starts loading the first step of tiles begin to end - 1; nothing of the new token.
  __device__ __forceinline__ void start(int begin, int end) {
    begin_ = begin;
    end_ = end;
    load_keys(begin);
    load_values(begin);
  }

  // Takes the queries from shared memory.
  __device__ __forceinline__ void take_queries() {
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      const int channel = Format::key_channel(i, t_);
      const __half factor = __float2half_rn(1.0f / static_cast<float>(1 << Format::key_shift(i)));
      const __half* query = shared_.queries[g_] + channel;
      const __half2 pair = __hmul2(__halves2half2(query[0], query[Format::kKeySpacing]),
                                   __half2half2(factor));
      queries_[i] = reinterpret_cast<const uint32_t&>(pair);
    }
#pragma unroll
    for (int j = 0; j < 2; ++j) query_sums_[j] = shared_.query_sums[2 * t_ + j];
  }

  // Goes through the tiles and leaves the partial sums of all queries.
  __device__ __forceinline__ void run(float (*out)[kPartial]) {
    float maximum[2] = {-INFINITY, -INFINITY};
    float weights[2] = {}, minimums[2] = {};
    float sums[kMTiles][4] = {};
    for (int tile = begin_; tile < end_; tile += kTiles) {
      if (work_.position / kTile >= tile && work_.position / kTile < tile + kTiles) patch(tile);
      float p[kTiles][4];
      float inverse[kTiles][2], minimum[kTiles][2];
      float largest[2] = {maximum[0], maximum[1]};
#pragma unroll
      for (int i = 0; i < kTiles; ++i) {
        if (i > 0 && tile + i >= end_) {
#pragma unroll
          for (int j = 0; j < 4; ++j) p[i][j] = -INFINITY;
          continue;
        }
        scores(tile, i, p[i], inverse[i], minimum[i]);
#pragma unroll
        for (int j = 0; j < 2; ++j) largest[j] = fmaxf(largest[j], fmaxf(p[i][j], p[i][j + 2]));
      }
      if (tile + kTiles < end_) load_keys(tile + kTiles);

      bool grew = false;
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        for (int offset = 4; offset < 32; offset <<= 1) {
          largest[j] = fmaxf(largest[j], __shfl_xor_sync(kAllLanes, largest[j], offset));
        }
        grew |= largest[j] > maximum[j];
      }
      if (__any_sync(kAllLanes, grew)) {
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          const float shrink = power_of_2(maximum[j] - largest[j]);
          maximum[j] = largest[j];
          weights[j] *= shrink;
          minimums[j] *= shrink;
#pragma unroll
          for (int m = 0; m < kMTiles; ++m) {
            sums[m][j] *= shrink;
            sums[m][j + 2] *= shrink;
          }
        }
      }
#pragma unroll
      for (int i = 0; i < kTiles; ++i) {
        if (tile + i >= end_) break;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          p[i][j] = power_of_2(p[i][j] - maximum[j & 1]);
          const float weight = Format::kCodes ? p[i][j] * inverse[i][j >> 1] : p[i][j];
          weights[j & 1] += weight;
          if (Format::kCodes) minimums[j & 1] += weight * minimum[i][j >> 1];
        }
        const uint32_t b0 = transposed(p[i][0], p[i][1]);
        const uint32_t b1 = transposed(p[i][2], p[i][3]);
        const uint32_t(&v)[4][kValueWords] = values_[i];
#pragma unroll
        for (int m = 0; m < kMTiles; ++m) {
          mma(sums[m], Format::value_pair(v[0], v[1], m, 0, g_),
              Format::value_pair(v[0], v[1], m, 1, g_), Format::value_pair(v[2], v[3], m, 0, g_),
              Format::value_pair(v[2], v[3], m, 1, g_), b0, b1);
        }
      }
      if (tile + kTiles < end_) load_values(tile + kTiles);
    }

#pragma unroll
    for (int j = 0; j < 2; ++j) {
      for (int offset = 4; offset < 32; offset <<= 1) {
        weights[j] += __shfl_xor_sync(kAllLanes, weights[j], offset);
        minimums[j] += __shfl_xor_sync(kAllLanes, minimums[j], offset);
      }
      const int query = 2 * t_ + j;
      if (query >= work_.queries) continue;
      float* partial = out[query];
      if (g_ == 0) {
        partial[0] = maximum[j];
        partial[1] = weights[j];
      }
#pragma unroll
      for (int m = 0; m < kMTiles; ++m) {
#pragma unroll
        for (int high = 0; high < 2; ++high) {
          const float scale =
              Format::kCodes ? kCodeScale / static_cast<float>(1 << Format::value_shift(m, high))
                             : 1.0f;
          partial[kPartialValues + Format::value_channel(m, high, g_)] =
              __fmaf_rn(sums[m][j + 2 * high], scale, minimums[j]);
        }
      }
    }
  }

 private:
  // Row r of keys (r < 2) and of values (r < 4) of a tile in this lane.
  __device__ __forceinline__ int key_row(int r) const { return g_ + 8 * r; }
  __device__ __forceinline__ int value_row(int r) const {
    return 2 * t_ + (r & 1) + 8 * (r >> 1);
  }

  __device__ __forceinline__ KvStep step_of(int position, int value) const {
    return reinterpret_cast<const KvStep*>(work_.steps + position)[value];
  }

  // Whether a step has all its tiles, and each of them all its positions, before the new token.
  __device__ __forceinline__ bool whole(int tile) const {
    return tile + kTiles <= end_ && (tile + kTiles) * kTile <= work_.position;
  }

  __device__ __forceinline__ int row_bytes() const {
    return kBits == nibble::kAnyBits ? work_.row_bytes : Format::kRowBytes;
  }

  __device__ __forceinline__ void load_keys(int tile) {
    const bool all = whole(tile);
    const int first = tile * kTile + g_;
    const char* rows = work_.keys + int64_t{first} * row_bytes();
#pragma unroll
    for (int i = 0; i < kTiles; ++i) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const int ahead = i * kTile + 8 * r;
        if (!all) {
#pragma unroll
          for (int w = 0; w < kKeyWords; ++w) keys_[i][r][w] = 0;
          if (Format::kCodes) steps_[i][r] = make_uint2(0x3c00u, 0x3c00u);
          if (first + ahead >= work_.position || tile + i >= end_) continue;
        }
        KvStep kept = {};
        if (kBits == nibble::kAnyBits && work_.shape.bits < 16) kept = step_of(first + ahead, 0);
        Format::template load_key<false>(keys_[i][r], rows + ahead * row_bytes(), kept, work_.shape,
                                         t_);
        if (Format::kCodes) {
          nibble::load_global<2>(reinterpret_cast<uint32_t*>(&steps_[i][r]),
                                 work_.steps + first + ahead);
        }
      }
    }
  }

  __device__ __forceinline__ void load_values(int tile) {
    const bool all = whole(tile);
    const int first = tile * kTile + 2 * t_;
    const char* rows = work_.values + int64_t{first} * row_bytes();
#pragma unroll
    for (int i = 0; i < kTiles; ++i) {
#pragma unroll
      for (int r = 0; r < 4; ++r) {
        const int ahead = i * kTile + (r & 1) + 8 * (r >> 1);
        if (!all) {
#pragma unroll
          for (int w = 0; w < kValueWords; ++w) values_[i][r][w] = 0;
          if (first + ahead >= work_.position || tile + i >= end_) continue;
        }
        KvStep kept = {};
        if (kBits == nibble::kAnyBits && work_.shape.bits < 16) kept = step_of(first + ahead, 1);
        Format::template load_value<false>(values_[i][r], rows + ahead * row_bytes(), kept,
                                           work_.shape, g_);
      }
    }
  }

  // Puts the new token's rows into the step that has its position.
  __device__ __forceinline__ void patch(int tile) {
    const int at = work_.position - tile * kTile;
#pragma unroll
    for (int i = 0; i < kTiles; ++i) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        if (at == i * kTile + key_row(r)) {
          Format::template load_key<true>(keys_[i][r],
                                          reinterpret_cast<const char*>(shared_.rows[0]),
                                          shared_.steps[0], work_.shape, t_);
          if (Format::kCodes) {
            steps_[i][r] = make_uint2(reinterpret_cast<const uint32_t&>(shared_.steps[0]),
                                      reinterpret_cast<const uint32_t&>(shared_.steps[1]));
          }
        }
      }
#pragma unroll
      for (int r = 0; r < 4; ++r) {
        if (at == i * kTile + value_row(r)) {
          Format::template load_value<true>(values_[i][r],
                                            reinterpret_cast<const char*>(shared_.rows[1]),
                                            shared_.steps[1], work_.shape, g_);
        }
      }
    }
  }

  // Scores of tile i of a step, base 2, with log2 of the value's step added; -infinity where the
  // query does not look. Columns 2t, 2t + 1 of rows g, then of rows g + 8.
  __device__ __forceinline__ void scores(int tile, int i, float (&s)[4], float (&inverse)[2],
                                         float (&minimum)[2]) const {
    // Two sums, for the latency of their chains.
    float odd[4] = {};
    s[0] = s[1] = s[2] = s[3] = 0.0f;
#pragma unroll
    for (int k = 0; k < kPairs; k += 2) {
      mma(k % 4 == 0 ? s : odd, Format::key_pair(keys_[i][0], k), Format::key_pair(keys_[i][1], k),
          Format::key_pair(keys_[i][0], k + 1), Format::key_pair(keys_[i][1], k + 1), queries_[k],
          queries_[k + 1]);
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) s[j] += odd[j];
    const bool all = whole(tile) && tile * kTile >= work_.start;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float key_scale = work_.score_scale, key_shift = 0.0f, value_log = 0.0f;
      if (Format::kCodes) {
        const float2 key = __half22float2(reinterpret_cast<const __half2&>(steps_[i][r].x));
        const float2 value = __half22float2(reinterpret_cast<const __half2&>(steps_[i][r].y));
        key_scale *= key.x * kCodeScale;
        key_shift = key.y * work_.score_scale;
        value_log = log_2(value.x);
        inverse[r] = reciprocal(value.x);
        minimum[r] = value.y;
      }
      const int position = (tile + i) * kTile + key_row(r);
      const bool seen = all || (position >= work_.start && position <= work_.position &&
                                tile + i < end_);
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        float score = s[2 * r + j] * key_scale;
        if (Format::kCodes) score += key_shift * query_sums_[j] + value_log;
        s[2 * r + j] = seen ? score : -INFINITY;
      }
    }
  }

  const Work& work_;
  const Shared& shared_;
  int g_;
  int t_;
  int begin_;
  int end_;
  uint32_t keys_[kTiles][2][kKeyWords];
  uint32_t values_[kTiles][4][kValueWords];
  uint2 steps_[kTiles][2];
  uint32_t queries_[kPairs];
  float query_sums_[2];
};

// ---- a block's other work

__device__ __forceinline__ uint32_t cluster_size() {
#if __CUDA_ARCH__ >= 900
  uint32_t size;
  asm("mov.u32 %0, %%cluster_nctarank;" : "=r"(size));
  return size;
#else
  return 1;
#endif
}

__device__ __forceinline__ void cluster_arrive() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
#endif
}

__device__ __forceinline__ void cluster_wait() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}

// Writes to another block's shared memory, at the address that `at` has in this one.
__device__ __forceinline__ void store_cluster(float* at, int rank, float value) {
#if __CUDA_ARCH__ >= 900
  const uint32_t here = static_cast<uint32_t>(__cvta_generic_to_shared(at));
  asm volatile(
      "{\n\t.reg .u32 there;\n\tmapa.shared::cluster.u32 there, %0, %1;\n\t"
      "st.shared::cluster.f32 [there], %2;\n\t}" ::"r"(here),
      "r"(rank), "f"(value)
      : "memory");
#endif
}

// Prepares the queries and, in the block that has the sequence's last tile, the new key and value.
__device__ __forceinline__ void prepare(const attention_decode_args& args, const Work& work,
                                        const nibble::Rotation& rotation, int64_t row, int kv_head,
                                        int first_head, bool owner, bool appends, Shared& shared) {
  const int head_dim = work.shape.head_dim, bits = work.shape.bits;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int own = owner ? 2 : 0;
  for (int item = warp; item < kQueries + own; item += kWarps) {
    if (item >= own) {
      const int query = item - own;
      if (query >= work.queries) {
        for (int i = lane; i < nibble::kMaxHeadDim; i += 32) shared.queries[query][i] = __half(0.0f);
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
      for (int i = head_dim + lane; i < nibble::kMaxHeadDim; i += 32) {
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

template <int kBits, int kDim>
__device__ __forceinline__ void attend(const attention_decode_args& args) {
  constexpr int kOutputs = kQueries * kDim / ATTENTION_DECODE_THREADS;
  __shared__ Shared shared;
  const int64_t row = blockIdx.z;
  const int position = args.positions[row];
  const int query_blocks = (args.heads / args.kv_heads + kQueries - 1) / kQueries;
  const int kv_head = blockIdx.x / query_blocks, query_block = blockIdx.x % query_blocks;
  const int group_heads = args.heads / args.kv_heads;
  const int first_head = kv_head * group_heads + query_block * kQueries;
  const int head_dim = kBits == nibble::kAnyBits ? args.head_dim : kDim;
  const int queries = min(group_heads - query_block * kQueries, kQueries);
  const int outputs = queries * head_dim;
  __half* out = static_cast<__half*>(args.out) + row * args.out_stride + first_head * head_dim;
  const int splits = gridDim.y;

  if (position < 0) {
    wait_for_previous_kernel();
    allow_next_kernel();
    if (blockIdx.y == 0) {
      for (int i = threadIdx.x; i < outputs; i += ATTENTION_DECODE_THREADS) out[i] = __half(0.0f);
    }
    return;
  }

  const int bits = kBits == nibble::kAnyBits ? args.kv_bits : kBits;
  const int row_bytes =
      kBits == nibble::kAnyBits ? kv_row_bytes(bits, head_dim) : KvFormat<kBits, kDim>::kRowBytes;
  const char* region = static_cast<const char*>(args.caches[row]) + args.layer_offset;
  const int64_t first_row = kv_head * args.capacity;
  const int64_t values = args.capacity * args.kv_heads * row_bytes;
  const Work work = {region + first_row * row_bytes,
                     region + values + first_row * row_bytes,
                     reinterpret_cast<const uint2*>(region + 2 * values) + first_row,
                     {bits, head_dim},
                     row_bytes,
                     position,
                     args.window > 0 ? max(0, position + 1 - args.window) : 0,
                     queries,
                     1.44269504f / sqrtf(static_cast<float>(head_dim))};
  const int warp = threadIdx.x / 32;
  const int first_tile = work.start / kTile;
  const int tiles = position / kTile - first_tile + 1;
  const int groups_here = kGroups / splits;
  const int first_group = blockIdx.y * groups_here;
  const auto tile_of = [=](int segment) {
    return first_tile + static_cast<int>(int64_t{segment} * tiles / kSegments);
  };

  // Blocks of a cluster write to each other only when all of them run.
  const bool clustered = kBits != nibble::kAnyBits && splits > 1 &&
                         cluster_size() == static_cast<uint32_t>(splits);
  if (clustered) cluster_arrive();
  Segment<kBits, kDim> segment(work, shared);
  const int first_segment = first_group * kWarps + warp;
  segment.start(tile_of(first_segment), tile_of(first_segment + 1));
  const int64_t table = int64_t{position} * (head_dim / 2);
  const nibble::Rotation rotation(args.cosines ? args.cosines + table : nullptr, args.sines + table,
                                  args.order ? args.order + kv_head * (head_dim / 2) : nullptr,
                                  head_dim);
  allow_next_kernel();
  wait_for_previous_kernel();
  prepare(args, work, rotation, row, kv_head, first_head, blockIdx.y + 1 == splits, query_block == 0, shared);
  __syncthreads();
  segment.take_queries();

  const int64_t block = row * gridDim.x + blockIdx.x;
  float* partials = args.partials + block * kGroups * kQueries * kPartial;
  for (int group = first_group; group < first_group + groups_here; ++group) {
    segment.run(shared.segments[warp]);
    if (group + 1 < first_group + groups_here) {
      const int next = (group + 1) * kWarps + warp;
      segment.start(tile_of(next), tile_of(next + 1));
    }
    __syncthreads();
    if (clustered && group == first_group) cluster_wait();
#pragma unroll 1
    for (int i = 0; i < kOutputs; ++i) {
      const int output = threadIdx.x + i * ATTENTION_DECODE_THREADS;
      if (output >= outputs) break;
      const int query = output / head_dim, channel = kPartialValues + output % head_dim;
      Sum sum = {-INFINITY, 0.0f, 0.0f};
#pragma unroll
      for (int w = 0; w < kWarps; ++w) {
        const float* partial = shared.segments[w][query];
        add(sum, partial[0], partial[1], partial[channel]);
      }
      if (splits == 1) {
        Sum all = {-INFINITY, 0.0f, 0.0f};
        if (group > 0) all = shared.sums[output];
        add(all, sum.maximum, sum.weights, sum.value);
        shared.sums[output] = all;
      } else if (clustered) {
        float* to = shared.groups[group][i / splits];
        const int rank = i % splits;
        if (channel == kPartialValues) {
          const int pair = output / head_dim % (ATTENTION_DECODE_THREADS / kDim);
          store_cluster(to + 2 * pair, rank, sum.maximum);
          store_cluster(to + 2 * pair + 1, rank, sum.weights);
        }
        store_cluster(to + kPartialValues + threadIdx.x, rank, sum.value);
      } else {
        float* to = partials + (group * kQueries + query) * kPartial;
        if (channel == kPartialValues) {
          to[0] = sum.maximum;
          to[1] = sum.weights;
        }
        to[channel] = sum.value;
      }
    }
    if (group + 1 < first_group + groups_here) __syncthreads();
  }

  // The groups of a row and head in order, by this block or, in a cluster, each block its outputs.
  if (clustered) {
    cluster_arrive();
    cluster_wait();
  } else if (splits > 1) {
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) shared.arrived = atomicInc(args.arrivals + block, splits - 1);
    __syncthreads();
    if (shared.arrived + 1 != static_cast<uint32_t>(splits)) return;
    __threadfence();
  }
  const int first_output = clustered ? blockIdx.y : 0, output_step = clustered ? splits : 1;
  for (int i = first_output; i < kOutputs; i += output_step) {
    const int output = threadIdx.x + i * ATTENTION_DECODE_THREADS;
    if (output >= outputs) break;
    const int query = output / head_dim, channel = kPartialValues + output % head_dim;
    Sum sum = {-INFINITY, 0.0f, 0.0f};
    if (splits == 1) {
      sum = shared.sums[output];
    } else if (clustered) {
      const int pair = output / head_dim % (ATTENTION_DECODE_THREADS / kDim);
#pragma unroll
      for (int group = 0; group < kGroups; ++group) {
        const float* from = shared.groups[group][i / splits];
        add(sum, from[2 * pair], from[2 * pair + 1], from[kPartialValues + threadIdx.x]);
      }
    } else {
#pragma unroll
      for (int group = 0; group < kGroups; ++group) {
        const float* from = partials + (group * kQueries + query) * kPartial;
        add(sum, __ldcg(from), __ldcg(from + 1), __ldcg(from + channel));
      }
    }
    out[output] = __float2half_rn(sum.value / sum.weights);
  }
}

}  // namespace

#define ATTENTION_DECODE_KERNEL(name, bits, dim, blocks)                  \
  extern "C" __global__ void __launch_bounds__(ATTENTION_DECODE_THREADS, blocks) \
      name(const __grid_constant__ attention_decode_args args) {          \
    attend<bits, dim>(args);                                              \
  }

ATTENTION_DECODE_KERNEL(attention_decode_kv16_64, 16, 64, 4)
ATTENTION_DECODE_KERNEL(attention_decode_kv16_128, 16, 128, 3)
ATTENTION_DECODE_KERNEL(attention_decode_kv8_64, 8, 64, 4)
ATTENTION_DECODE_KERNEL(attention_decode_kv8_128, 8, 128, 4)
ATTENTION_DECODE_KERNEL(attention_decode_kv4_64, 4, 64, 4)
ATTENTION_DECODE_KERNEL(attention_decode_kv4_128, 4, 128, 4)
ATTENTION_DECODE_KERNEL(attention_decode_kv3_128, 3, 128, 4)
ATTENTION_DECODE_KERNEL(attention_decode_any, nibble::kAnyBits, 128, 3)
