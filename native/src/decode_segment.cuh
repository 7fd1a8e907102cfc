// A warp's part of attention_decode, on tensor cores: a tile of 16 positions is the A operand, rows of keys
// as they lie in memory, and then the same of values, transposed by pairing the words of two rows; up to
// 8 query heads are the B operand. So K and V go from memory to registers once, without shared memory,
// and grouped queries are free.
//
// The scores of a quantized tile are s = h_k (q . codes) + m_k sum(q), and with p = 2^s
//   sum p v = sum (p h_v) codes + sum p m_v,
// where p h_v = 2^(s + log2 h_v) is what has a running maximum, so that it fits fp16.
#ifndef NIBBLE_DECODE_SEGMENT_CUH
#define NIBBLE_DECODE_SEGMENT_CUH

#include "decode_block.cuh"

namespace nibble {

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

// A warp's steps through its segment, kTiles tiles at a time.
template <int kBits, int kDim>
class DecodeSegment {
  using Format = KvFormat<kBits, kDim>;
  static constexpr unsigned kLanes = 0xffffffffu;
  // What subnormal codes lack, 2^24.
  static constexpr float kCodeScale = 16777216.0f;
  static constexpr int kKeyWords = Format::kKeyWords;
  static constexpr int kValueWords = Format::kValueWords;
  static constexpr int kPairs = Format::kPairs;
  static constexpr int kMTiles = Format::kMTiles;
  static constexpr int kTiles = Format::kKeyWords >= 8 ? 1 : 2;

 public:
  __device__ __forceinline__ DecodeSegment(const DecodeWork& work, const DecodeShared& shared)
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
          largest[j] = fmaxf(largest[j], __shfl_xor_sync(kLanes, largest[j], offset));
        }
        grew |= largest[j] > maximum[j];
      }
      if (__any_sync(kLanes, grew)) {
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
        weights[j] += __shfl_xor_sync(kLanes, weights[j], offset);
        minimums[j] += __shfl_xor_sync(kLanes, minimums[j], offset);
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
    return kBits == kAnyBits ? work_.row_bytes : Format::kRowBytes;
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
        if (kBits == kAnyBits && work_.shape.bits < 16) kept = step_of(first + ahead, 0);
        Format::template load_key<false>(keys_[i][r], rows + ahead * row_bytes(), kept, work_.shape,
                                         t_);
        if (Format::kCodes) {
          load_global<2>(reinterpret_cast<uint32_t*>(&steps_[i][r]),
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
        if (kBits == kAnyBits && work_.shape.bits < 16) kept = step_of(first + ahead, 1);
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

  const DecodeWork& work_;
  const DecodeShared& shared_;
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

}  // namespace nibble

#endif  // NIBBLE_DECODE_SEGMENT_CUH
