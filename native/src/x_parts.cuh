// Inputs of 16 bits or more as pairs of int8 parts: 256 high + low = round(x 32512 / max |x|), the
// maximum taken over a run of 32, 64 or 128 columns. One arithmetic for every kernel that does it,
// so that a token's result does not depend on which of them ran.
#ifndef NIBBLE_X_PARTS_CUH
#define NIBBLE_X_PARTS_CUH

#include <cuda_fp16.h>

#include <cstdint>

#include "async_copy.cuh"

namespace nibble {

constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kLaneColumns = 8;                // columns that a lane takes at a time
constexpr int kTaskColumns = 32 * kLaneColumns;  // and a warp
constexpr float kLargestPart = 32512.0f;       // 127 * 256: the high part stays within int8
constexpr float kSmallestMaximum = 1e-30f;     // runs below it count as zero

// Eight columns of a token as they enter the product.
struct LaneColumns {
  float values[kLaneColumns];
  float square_sum;
};

// A lane's share of a quantized run.
struct XParts {
  uint2 high, low;
  // Of the run: what an integer stands for, and the sum of the integers.
  float scale;
  int sum;
};

// fp16 columns [first, first + 8) of a row, 0 past the last one.
__device__ __forceinline__ void load_halves(const __half* row, int first, int columns,
                                            float (&values)[kLaneColumns]) {
  union {
    uint4 words;
    __half halves[kLaneColumns];
  } chunk;
  if (first + kLaneColumns <= columns) {
    chunk.words = load_fresh(reinterpret_cast<const uint4*>(row + first));
  } else {
#pragma unroll
    for (int i = 0; i < kLaneColumns; ++i) {
      const uint16_t* const from =
          reinterpret_cast<const uint16_t*>(row + min(first + i, columns - 1));
      chunk.halves[i] = __ushort_as_half(load_fresh(from));
    }
  }
#pragma unroll
  for (int i = 0; i < kLaneColumns; ++i) {
    values[i] = first + i < columns ? __half2float(chunk.halves[i]) : 0.0f;
  }
}

// fp32 columns times their norm weights, in the given order of channels if there is one.
__device__ __forceinline__ LaneColumns load_weighted(const float* row, const float* weight,
                                                     const uint16_t* order, int first,
                                                     int columns) {
  LaneColumns lane;
  lane.square_sum = 0.0f;
  float w[kLaneColumns];
  if (order == nullptr && first + kLaneColumns <= columns) {
    union {
      uint4 words[2];
      float floats[kLaneColumns];
    } x;
    x.words[0] = load_fresh(reinterpret_cast<const uint4*>(row + first));
    x.words[1] = load_fresh(reinterpret_cast<const uint4*>(row + first) + 1);
    const float4 low = *reinterpret_cast<const float4*>(weight + first);
    const float4 high = *reinterpret_cast<const float4*>(weight + first + 4);
    w[0] = low.x, w[1] = low.y, w[2] = low.z, w[3] = low.w;
    w[4] = high.x, w[5] = high.y, w[6] = high.z, w[7] = high.w;
#pragma unroll
    for (int i = 0; i < kLaneColumns; ++i) lane.values[i] = x.floats[i];
  } else {
#pragma unroll
    for (int i = 0; i < kLaneColumns; ++i) {
      const int column = min(first + i, columns - 1);
      const int channel = order == nullptr ? column : order[column];
      const float x = load_fresh(row + channel);
      lane.values[i] = first + i < columns ? x : 0.0f;
      w[i] = weight[channel];
    }
  }
#pragma unroll
  for (int i = 0; i < kLaneColumns; ++i) {
    lane.square_sum = __fmaf_rn(lane.values[i], lane.values[i], lane.square_sum);
    lane.values[i] = __fmul_rn(lane.values[i], w[i]);
  }
  return lane;
}

__device__ __forceinline__ float max_or_nan(float a, float b) {
  float result;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(a), "f"(b));
  return result;
}

// A warp quantizes 256 columns; every lane takes part.
template <int kRun>
__device__ __forceinline__ XParts quantize(const float (&values)[kLaneColumns]) {
  constexpr int lanes = kRun / kLaneColumns;
  float largest = 0.0f;
#pragma unroll
  for (int i = 0; i < kLaneColumns; ++i) largest = max_or_nan(largest, fabsf(values[i]));
#pragma unroll
  for (int offset = 1; offset < lanes; offset <<= 1) {
    largest = max_or_nan(largest, __shfl_xor_sync(kAllLanes, largest, offset));
  }
  const float inverse = largest > kSmallestMaximum ? __fdividef(kLargestPart, largest) : 0.0f;
  XParts parts;
  parts.sum = 0;
  uint32_t high[2] = {0, 0}, low[2] = {0, 0};
#pragma unroll
  for (int i = 0; i < kLaneColumns; ++i) {
    const int q = __float2int_rn(__fmul_rn(values[i], inverse));
    const int h = (q + 128) >> 8;
    parts.sum += q;
    high[i / 4] |= static_cast<uint32_t>(h & 255) << (8 * (i % 4));
    low[i / 4] |= static_cast<uint32_t>((q - 256 * h) & 255) << (8 * (i % 4));
  }
#pragma unroll
  for (int offset = 1; offset < lanes; offset <<= 1) {
    parts.sum += __shfl_xor_sync(kAllLanes, parts.sum, offset);
  }
  parts.high = make_uint2(high[0], high[1]);
  parts.low = make_uint2(low[0], low[1]);
  parts.scale = __fmul_rn(largest, 1.0f / kLargestPart);
  return parts;
}

// Adds a warp's shares of the sum of squares; every lane has the result.
__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset >>= 1) {
    value = __fadd_rn(value, __shfl_xor_sync(kAllLanes, value, offset));
  }
  return value;
}

// 1 / root mean square from the tasks' sums of squares, `stride` floats apart.
__device__ __forceinline__ float reciprocal_rms(const float* task_sums, int tasks, int stride,
                                                int columns, float epsilon) {
  float sum = 0.0f;
  for (int task = 0; task < tasks; ++task) sum = __fadd_rn(sum, task_sums[task * stride]);
  return __frsqrt_rn(__fadd_rn(__fdiv_rn(sum, static_cast<float>(columns)), epsilon));
}

}  // namespace nibble

#endif  // NIBBLE_X_PARTS_CUH
