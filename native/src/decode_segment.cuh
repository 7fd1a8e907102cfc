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

// Of a normal number.
__device__ __forceinline__ float log_2(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ __forceinline__ float reciprocal(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Puts a column of an accumulator together: the lanes of the same t.
template <class Operation>
__device__ __forceinline__ float over_rows(float value, Operation operation) {
#pragma unroll
  for (int offset = 4; offset < 32; offset <<= 1) {
    value = operation(value, __shfl_xor_sync(0xffffffffu, value, offset));
  }
  return value;
}

// A warp's way through segments that follow each other, a tile at a time.
template <int kBits, int kDim>
class DecodeSegments {
  using Format = KvFormat<kBits, kDim>;
  // What subnormal codes lack, 2^24.
  static constexpr float kCodeScale = 16777216.0f;
  static constexpr int kKeyWords = Format::kKeyWords;
  static constexpr int kValueWords = Format::kValueWords;
  static constexpr int kPairs = Format::kPairs;
  static constexpr int kMTiles = Format::kMTiles;

 public:
  __device__ __forceinline__ DecodeSegments(const DecodeWork& work, const DecodeShared& shared)
      : work_(work),
        shared_(shared),
        g_(threadIdx.x % 32 / 4),
        t_(threadIdx.x % 4),
        columns_(Format::kCodes && work.queries == 1 ? 1 : 2) {}

  // Starts loading tile `begin`, which those up to `limit` will follow; nothing of the new token.
  __device__ __forceinline__ void start(int begin, int limit) {
    tile_ = begin;
    limit_ = limit;
    if (begin >= limit) return;
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

  // Goes through the tiles up to `end`, a segment, and leaves the partial sums of all queries; added to
  // what this warp left there before if not `fresh`.
  __device__ __forceinline__ void run(int end, float (*out)[kPartial], bool fresh) {
    if (tile_ == end && !fresh) return;
    float maximum[2] = {-INFINITY, -INFINITY};
    float weights[2] = {}, minimums[2] = {};
    float sums[kMTiles][4] = {};
    for (; tile_ < end; ++tile_) {
      if (tile_ == work_.position / kTile) patch();
      float p[4];
      __half2 steps[2] = {};
      scores(p, steps);
      if (tile_ + 1 < limit_) load_keys(tile_ + 1);

      float largest[2] = {};
      bool grew = false;
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        if (j >= columns_) break;
        largest[j] = over_rows(fmaxf(maximum[j], fmaxf(p[j], p[j + 2])),
                               [](float a, float b) { return fmaxf(a, b); });
        grew |= largest[j] > maximum[j];
      }
      // No maximum is infinite after the first tile.
      if (maximum[0] != -INFINITY && __any_sync(0xffffffffu, grew)) {
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          const float shrink = power_of_2(maximum[j] - largest[j]);
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
      for (int j = 0; j < 2; ++j) maximum[j] = largest[j];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const float2 step = __half22float2(steps[r]);
        const float inverse = Format::kCodes ? reciprocal(step.x) : 1.0f;
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          if (j >= columns_) break;
          float& power = p[2 * r + j];
          power = power_of_2(power - maximum[j]);
          const float weight = Format::kCodes ? power * inverse : power;
          weights[j] += weight;
          if (Format::kCodes) minimums[j] += weight * step.y;
        }
      }
      const uint32_t b0 = transposed(p[0], p[1]), b1 = transposed(p[2], p[3]);
#pragma unroll
      for (int m = 0; m < kMTiles; ++m) {
        mma(sums[m], Format::value_pair(values_[0], values_[1], m, 0, g_),
            Format::value_pair(values_[0], values_[1], m, 1, g_),
            Format::value_pair(values_[2], values_[3], m, 0, g_),
            Format::value_pair(values_[2], values_[3], m, 1, g_), b0, b1);
      }
      if (tile_ + 1 < limit_) load_values(tile_ + 1);
    }

#pragma unroll
    for (int j = 0; j < 2; ++j) {
      if (j >= columns_) break;
      const auto plus = [](float a, float b) { return a + b; };
      const float weight = over_rows(weights[j], plus), minimum = over_rows(minimums[j], plus);
      const int query = 2 * t_ + j;
      if (query >= work_.queries) continue;
      // As SoftmaxSum adds.
      float largest = maximum[j], before = 0.0f, now = 1.0f;
      if (!fresh) {
        largest = fmaxf(slot_maximum_[j], maximum[j]);
        before = power_of_2(slot_maximum_[j] - largest);
        now = power_of_2(maximum[j] - largest);
      }
      slot_maximum_[j] = largest;
      slot_weights_[j] = fresh ? weight : __fmaf_rn(slot_weights_[j], before, weight * now);
      if (g_ == 0) {
        out[query][0] = slot_maximum_[j];
        out[query][1] = slot_weights_[j];
      }
#pragma unroll
      for (int high = 0; high < 2; ++high) {
        // Neighbouring channels of neighbouring tiles.
        float4* values = reinterpret_cast<float4*>(out[query] + kPartialValues +
                                                   Format::value_channel(0, high, g_));
#pragma unroll
        for (int m = 0; m < kMTiles; m += 4) {
          float v[4];
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            v[i] = __fmaf_rn(sums[m + i][j + 2 * high], value_scale(m + i, high), minimum);
          }
          if (!fresh) {
            const float4 old = values[m / 4];
            v[0] = __fmaf_rn(old.x, before, v[0] * now);
            v[1] = __fmaf_rn(old.y, before, v[1] * now);
            v[2] = __fmaf_rn(old.z, before, v[2] * now);
            v[3] = __fmaf_rn(old.w, before, v[3] * now);
          }
          values[m / 4] = make_float4(v[0], v[1], v[2], v[3]);
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

  static __device__ __forceinline__ constexpr float value_scale(int m, int high) {
    return Format::kCodes ? kCodeScale / static_cast<float>(1 << Format::value_shift(m, high)) : 1.0f;
  }

  __device__ __forceinline__ KvStep step_of(int position, int value) const {
    return reinterpret_cast<const KvStep*>(work_.steps + position)[value];
  }

  __device__ __forceinline__ int row_bytes() const {
    return kBits == kAnyBits ? work_.row_bytes : Format::kRowBytes;
  }

  // Whether a tile's positions are all before the new token.
  __device__ __forceinline__ bool whole(int tile) const {
    return (tile + 1) * kTile <= work_.position;
  }

  __device__ __forceinline__ void load_keys(int tile) {
    const int first = tile * kTile + key_row(0);
    const char* rows = work_.keys + int64_t{first} * row_bytes() + Format::key_offset(t_);
    const bool all = whole(tile);
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (!all) {
#pragma unroll
        for (int w = 0; w < kKeyWords; ++w) keys_[r][w] = 0;
        if (Format::kCodes) steps_[r] = make_uint2(0x3c00u, 0x3c00u);
        if (first + 8 * r >= work_.position) continue;
      }
      KvStep kept = {};
      if (kBits == kAnyBits && work_.shape.bits < 16) kept = step_of(first + 8 * r, 0);
      Format::template load_key<false>(keys_[r], rows + 8 * r * row_bytes(), kept, work_.shape, t_);
      if (Format::kCodes) {
        load_global<2>(reinterpret_cast<uint32_t*>(&steps_[r]), work_.steps + first + 8 * r);
      }
    }
  }

  __device__ __forceinline__ void load_values(int tile) {
    const int first = tile * kTile + value_row(0);
    const char* rows = work_.values + int64_t{first} * row_bytes() + Format::value_offset(g_);
    const bool all = whole(tile);
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      const int ahead = value_row(r) - value_row(0);
      if (!all) {
#pragma unroll
        for (int w = 0; w < kValueWords; ++w) values_[r][w] = 0;
        if (first + ahead >= work_.position) continue;
      }
      KvStep kept = {};
      if (kBits == kAnyBits && work_.shape.bits < 16) kept = step_of(first + ahead, 1);
      Format::template load_value<false>(values_[r], rows + ahead * row_bytes(), kept, work_.shape,
                                         g_);
    }
  }

  // Puts the new token's rows into the tile at hand, which has its position.
  __device__ __forceinline__ void patch() {
    const int at = work_.position % kTile;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (at == key_row(r)) {
        Format::template load_key<true>(
            keys_[r], reinterpret_cast<const char*>(shared_.rows[0]) + Format::key_offset(t_),
            shared_.steps[0], work_.shape, t_);
        if (Format::kCodes) {
          steps_[r] = make_uint2(reinterpret_cast<const uint32_t&>(shared_.steps[0]),
                                 reinterpret_cast<const uint32_t&>(shared_.steps[1]));
        }
      }
    }
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      if (at == value_row(r)) {
        Format::template load_value<true>(
            values_[r], reinterpret_cast<const char*>(shared_.rows[1]) + Format::value_offset(g_),
            shared_.steps[1], work_.shape, g_);
      }
    }
  }

  // Scores of the tile at hand, base 2, with log2 of the value's step added; -infinity where the query
  // does not look. Columns 2t, 2t + 1 of rows g, then of rows g + 8. And the values' steps and minimums.
  __device__ __forceinline__ void scores(float (&s)[4], __half2 (&values)[2]) const {
    // Two sums, for the latency of their chains.
    float odd[4] = {};
    s[0] = s[1] = s[2] = s[3] = 0.0f;
#pragma unroll
    for (int k = 0; k < kPairs; k += 2) {
      mma(k % 4 == 0 ? s : odd, Format::key_pair(keys_[0], k), Format::key_pair(keys_[1], k),
          Format::key_pair(keys_[0], k + 1), Format::key_pair(keys_[1], k + 1), queries_[k],
          queries_[k + 1]);
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float key_scale = work_.score_scale, key_shift = 0.0f, value_log = 0.0f;
      if (Format::kCodes) {
        const float2 key = __half22float2(reinterpret_cast<const __half2&>(steps_[r].x));
        values[r] = reinterpret_cast<const __half2&>(steps_[r].y);
        key_scale *= key.x * kCodeScale;
        key_shift = key.y * work_.score_scale;
        value_log = log_2(__low2float(values[r]));
      }
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        float& score = s[2 * r + j];
        score = (score + odd[2 * r + j]) * key_scale;
        if (Format::kCodes) score += key_shift * query_sums_[j] + value_log;
      }
    }
    if (whole(tile_) && tile_ * kTile >= work_.start) return;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int position = tile_ * kTile + key_row(r);
      if (position < work_.start || position > work_.position) {
        s[2 * r] = s[2 * r + 1] = -INFINITY;
      }
    }
  }

  const DecodeWork& work_;
  const DecodeShared& shared_;
  int g_;
  int t_;
  // Columns of an accumulator that a lane needs: a lone query is in the first.
  int columns_;
  int tile_;
  int limit_;
  uint32_t keys_[2][kKeyWords];
  uint32_t values_[4][kValueWords];
  uint2 steps_[2];
  uint32_t queries_[kPairs];
  float query_sums_[2];
  // Of what the warp has left in a slot.
  float slot_maximum_[2];
  float slot_weights_[2];
};

}  // namespace nibble

#endif  // NIBBLE_DECODE_SEGMENT_CUH
