// One head of one token, held by a warp: lane l has channels l and l + 32 of each half of the head,
// so that both channels of a rotated pair are in one lane.
#ifndef NIBBLE_HEAD_ROW_CUH
#define NIBBLE_HEAD_ROW_CUH

#include <cuda_fp16.h>
#include <stdint.h>

#include "kv_cache.h"

namespace nibble {

constexpr int kMaxHeadDim = 128;
// Words of the longest cache row: 128 fp16.
constexpr int kMaxRowWords = kMaxHeadDim / 2;

// The rotation of a head's pairs at a position, as a HeadRow has them.
class Rotation {
 public:
  // cosines, sines: of the position. order: of the KV head, or null.
  __device__ __forceinline__ Rotation(const float* cosines, const float* sines,
                                      const uint16_t* order, int head_dim) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int i = threadIdx.x % 32 + 32 * j;
      const int frequency = i < head_dim / 2 ? (order ? order[i] : i) : 0;
      cosine[j] = cosines ? cosines[frequency] : 1.0f;
      sine[j] = cosines ? sines[frequency] : 0.0f;
    }
  }

  float cosine[2];
  float sine[2];
};

// Step and minimum of a cache row.
struct KvStep {
  __half step;
  __half minimum;
};

class HeadRow {
 public:
  __device__ __forceinline__ HeadRow(const __half* x, int head_dim)
      : half_(head_dim / 2), lane_(threadIdx.x % 32) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int i = lane_ + 32 * j;
      low_[j] = i < half_ ? __half2float(x[i]) : 0.0f;
      high_[j] = i < half_ ? __half2float(x[half_ + i]) : 0.0f;
    }
  }

  // RMSNorm.
  __device__ __forceinline__ void norm(const float* weight, float epsilon) {
    float squares = 0.0f;
#pragma unroll
    for (int j = 0; j < 2; ++j) squares += low_[j] * low_[j] + high_[j] * high_[j];
    const float scale = 1.0f / sqrtf(sum(squares) / static_cast<float>(2 * half_) + epsilon);
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int i = lane_ + 32 * j;
      if (i < half_) {
        low_[j] *= scale * weight[i];
        high_[j] *= scale * weight[half_ + i];
      }
    }
  }

  __device__ __forceinline__ void rotate(const Rotation& by) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const float a = low_[j], b = high_[j];
      low_[j] = a * by.cosine[j] - b * by.sine[j];
      high_[j] = b * by.cosine[j] + a * by.sine[j];
    }
  }

  // Replaces the values by what codes of `bits` bits keep of them.
  __device__ __forceinline__ void fake_quantize(int bits) {
    const float largest = static_cast<float>((1 << bits) - 1);
    const float2 bounds = range();
    const float step = clamped((bounds.y - bounds.x) / largest);
    const float zero = rintf(-bounds.x / step);
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      low_[j] = (code(low_[j], step, zero, largest) - zero) * step;
      high_[j] = (code(high_[j], step, zero, largest) - zero) * step;
    }
  }

  __device__ __forceinline__ void write(__half* out) const {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int i = lane_ + 32 * j;
      if (i < half_) {
        out[i] = __float2half_rn(low_[j]);
        out[half_ + i] = __float2half_rn(high_[j]);
      }
    }
  }

  // Sum over the head of the values rounded to fp16, known to all lanes.
  __device__ __forceinline__ float half_sum() const {
    float all = 0.0f;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      all += __half2float(__float2half_rn(low_[j])) + __half2float(__float2half_rn(high_[j]));
    }
    return sum(all);
  }

  // The head as a cache row of `bits` bits, in shared memory; `codes` is room for a byte a channel.
  // The row may be read after this by the warp.
  __device__ __forceinline__ KvStep encode(int bits, uint32_t* row, uint8_t* codes) const {
    if (bits == 16) {
      write(reinterpret_cast<__half*>(row));
      __syncwarp();
      return {};
    }
    const float largest = static_cast<float>((1 << bits) - 1);
    const float2 bounds = range();
    KvStep kept;
    kept.step = __float2half_rn(clamped((bounds.y - bounds.x) / largest));
    const float step = __half2float(kept.step);
    const float zero = rintf(-bounds.x / step);
    kept.minimum = __float2half_rn(-zero * step);
    const int head_dim = 2 * half_;
    const int units = (head_dim + KV_UNIT_CHANNELS - 1) / KV_UNIT_CHANNELS;
    for (int i = lane_; i < units * KV_UNIT_CHANNELS; i += 32) {
      if (i >= head_dim) codes[i] = 0;
    }
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int i = lane_ + 32 * j;
      if (i < half_) {
        codes[i] = static_cast<uint8_t>(code(low_[j], step, zero, largest));
        codes[half_ + i] = static_cast<uint8_t>(code(high_[j], step, zero, largest));
      }
    }
    __syncwarp();
    const int words = kv_row_bytes(bits, head_dim) / 4;
    for (int w = lane_; w < words; w += 32) {
      row[w] = bits == 3 ? packed_unit_word(codes, w / units, w % units)
                         : packed_word(codes, bits, w);
    }
    __syncwarp();
    return kept;
  }

 private:
  static __device__ __forceinline__ float clamped(float step) {
    return fminf(fmaxf(step, 1e-5f), 1e4f);
  }

  static __device__ __forceinline__ float code(float x, float step, float zero, float largest) {
    return fminf(fmaxf(rintf(x / step) + zero, 0.0f), largest);
  }

  static __device__ __forceinline__ float sum(float value) {
    for (int offset = 16; offset > 0; offset >>= 1) {
      value += __shfl_xor_sync(0xffffffffu, value, offset);
    }
    return value;
  }

  static __device__ __forceinline__ uint32_t packed_word(const uint8_t* codes, int bits, int w) {
    const int count = 32 / bits;
    uint32_t word = 0;
    for (int i = 0; i < count; ++i) word |= static_cast<uint32_t>(codes[w * count + i]) << (bits * i);
    return word;
  }

  // Word c of a unit of 3-bit codes.
  static __device__ __forceinline__ uint32_t packed_unit_word(const uint8_t* codes, int c, int unit) {
    const uint8_t* first = codes + unit * KV_UNIT_CHANNELS;
    uint32_t word = 0;
    for (int f = 0; f < 5; ++f) {
      word |= static_cast<uint32_t>(first[5 * c + f]) << (3 * f);
      word |= static_cast<uint32_t>(first[16 + 5 * c + f]) << (16 + 3 * f);
    }
    word |= static_cast<uint32_t>(first[15] >> c & 1) << 15;
    return word | static_cast<uint32_t>(first[31] >> c & 1) << 31;
  }

  // Smallest and largest value of the head.
  __device__ __forceinline__ float2 range() const {
    float lo = INFINITY, hi = -INFINITY;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      if (lane_ + 32 * j < half_) {
        lo = fminf(lo, fminf(low_[j], high_[j]));
        hi = fmaxf(hi, fmaxf(low_[j], high_[j]));
      }
    }
    for (int offset = 16; offset > 0; offset >>= 1) {
      lo = fminf(lo, __shfl_xor_sync(0xffffffffu, lo, offset));
      hi = fmaxf(hi, __shfl_xor_sync(0xffffffffu, hi, offset));
    }
    return make_float2(lo, hi);
  }

  float low_[2];
  float high_[2];
  int half_;
  int lane_;
};

// The code of a channel of a cache row below 16 bits.
__device__ __forceinline__ int kv_code(const uint32_t* row, int bits, int head_dim, int channel) {
  if (bits != 3) return row[channel * bits / 32] >> (channel * bits % 32) & ((1 << bits) - 1);
  const int units = (head_dim + KV_UNIT_CHANNELS - 1) / KV_UNIT_CHANNELS;
  const uint32_t* unit = row + channel / KV_UNIT_CHANNELS;
  const int shift = channel & 16, j = channel & 15;
  if (j < 15) return unit[j / 5 * units] >> (shift + j % 5 * 3) & 7;
  return (unit[0] >> (shift + 15) & 1) | (unit[units] >> (shift + 15) & 1) << 1 |
         (unit[2 * units] >> (shift + 15) & 1) << 2;
}

}  // namespace nibble

#endif  // NIBBLE_HEAD_ROW_CUH
