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
__device__ __forceinline__ uint4 load_eight_halves(const __half* row, int first, int columns) {
  if (first + kLaneColumns <= columns) {
    return load_fresh(reinterpret_cast<const uint4*>(row + first));
  }
  union {
    uint4 words;
    uint16_t halves[kLaneColumns];
  } chunk;
#pragma unroll
  for (int i = 0; i < kLaneColumns; ++i) {
    chunk.halves[i] = 0;
    if (first + i < columns) {
      chunk.halves[i] = load_fresh(reinterpret_cast<const uint16_t*>(row + first + i));
    }
  }
  return chunk.words;
}

__device__ __forceinline__ void to_floats(uint4 eight_halves, float (&values)[kLaneColumns]) {
  union {
    uint4 words;
    __half halves[kLaneColumns];
  } chunk;
  chunk.words = eight_halves;
#pragma unroll
  for (int i = 0; i < kLaneColumns; ++i) values[i] = __half2float(chunk.halves[i]);
}

__device__ __forceinline__ void load_halves(const __half* row, int first, int columns,
                                            float (&values)[kLaneColumns]) {
  to_floats(load_eight_halves(row, first, columns), values);
}

// fp32 columns [first, first + 8) of a row, in the given order of channels if there is one; 0 past
// the last one.
__device__ __forceinline__ void load_floats(const float* row, const uint16_t* order, int first,
                                            int columns, float (&values)[kLaneColumns]) {
  if (order == nullptr && first + kLaneColumns <= columns) {
    union {
      uint4 words[2];
      float floats[kLaneColumns];
    } x;
    x.words[0] = load_fresh(reinterpret_cast<const uint4*>(row + first));
    x.words[1] = load_fresh(reinterpret_cast<const uint4*>(row + first) + 1);
#pragma unroll
    for (int i = 0; i < kLaneColumns; ++i) values[i] = x.floats[i];
    return;
  }
#pragma unroll
  for (int i = 0; i < kLaneColumns; ++i) {
    values[i] = 0.0f;
    if (first + i < columns) {
      values[i] = load_fresh(row + (order == nullptr ? first + i : order[first + i]));
    }
  }
}

// The norm's weights of the same columns.
__device__ __forceinline__ void load_norm(const float* weight, const uint16_t* order, int first,
                                          int columns, float (&weights)[kLaneColumns]) {
  if (order == nullptr && first + kLaneColumns <= columns) {
    const float4 low = *reinterpret_cast<const float4*>(weight + first);
    const float4 high = *reinterpret_cast<const float4*>(weight + first + 4);
    weights[0] = low.x, weights[1] = low.y, weights[2] = low.z, weights[3] = low.w;
    weights[4] = high.x, weights[5] = high.y, weights[6] = high.z, weights[7] = high.w;
    return;
  }
#pragma unroll
  for (int i = 0; i < kLaneColumns; ++i) {
    weights[i] = 0.0f;
    if (first + i < columns) weights[i] = weight[order == nullptr ? first + i : order[first + i]];
  }
}

// Multiplies columns by their norm weights. Returns the sum of the squares before.
__device__ __forceinline__ float weigh(float (&values)[kLaneColumns],
                                       const float (&weights)[kLaneColumns]) {
  float square_sum = 0.0f;
#pragma unroll
  for (int i = 0; i < kLaneColumns; ++i) {
    square_sum = __fmaf_rn(values[i], values[i], square_sum);
    values[i] = __fmul_rn(values[i], weights[i]);
  }
  return square_sum;
}

// fp32 columns times their norm weights, in the given order of channels if there is one.
__device__ __forceinline__ LaneColumns load_weighted(const float* row, const float* weight,
                                                     const uint16_t* order, int first,
                                                     int columns) {
  float weights[kLaneColumns];
  load_norm(weight, order, first, columns, weights);
  LaneColumns lane;
  load_floats(row, order, first, columns, lane.values);
  lane.square_sum = weigh(lane.values, weights);
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
  // Added to 1.5 * 2^23, a float's low bits are its nearest integer, halves to even.
  constexpr float shifter = 12582912.0f;
  uint32_t high[2], low[2];
#pragma unroll
  for (int w = 0; w < 2; ++w) {
    uint32_t q[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      q[i] = __float_as_uint(__fadd_rn(__fmul_rn(values[4 * w + i], inverse), shifter));
      parts.sum += static_cast<int>(q[i] - __float_as_uint(shifter));
    }
    low[w] = __byte_perm(__byte_perm(q[0], q[1], 0x40), __byte_perm(q[2], q[3], 0x40), 0x5410);
#pragma unroll
    for (int i = 0; i < 4; ++i) q[i] += 128;
    high[w] = __byte_perm(__byte_perm(q[0], q[1], 0x51), __byte_perm(q[2], q[3], 0x51), 0x5410);
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
