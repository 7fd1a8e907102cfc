// Quantizes one row of floats to codes, as act_quant.h says, by one block.
#ifndef NIBBLE_ROW_CODES_CUH
#define NIBBLE_ROW_CODES_CUH

#include <stdint.h>

#include "packed_layout.h"

namespace nibble {

constexpr unsigned kAllLanes = 0xffffffffu;
constexpr float kSmallestStep = 1e-5f;
constexpr float kLargestStep = 1e4f;

enum class Range { kAsymmetric = 0, kSymmetric = 1, kStatic = 2 };

// Where a row's codes go, and how they are made.
struct RowCodes {
  int8_t* codes;
  float* scale;
  float* zero;
  int32_t* sums;
  // [columns / 32], for Range::kStatic.
  const float* static_steps;
  const int32_t* static_zeros;
  int columns;
  int group;
  int bits;
  Range range;
};

// Sum over the block, known to every thread, always added up in the same order. `shared` holds a value a
// warp and must not be in use.
template <int kThreads, class T>
__device__ __forceinline__ T block_sum(T value, T* shared) {
  for (int offset = 16; offset > 0; offset >>= 1) {
    value += __shfl_xor_sync(kAllLanes, value, offset);
  }
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  T sum = 0;
  for (int warp = 0; warp < kThreads / 32; ++warp) sum += shared[warp];
  __syncthreads();
  return sum;
}

// Smallest and largest over the block, known to every thread.
template <int kThreads>
__device__ __forceinline__ float2 block_range(float lo, float hi) {
  __shared__ float2 warp_range[kThreads / 32];
  for (int offset = 16; offset > 0; offset >>= 1) {
    lo = fminf(lo, __shfl_xor_sync(kAllLanes, lo, offset));
    hi = fmaxf(hi, __shfl_xor_sync(kAllLanes, hi, offset));
  }
  if (threadIdx.x % 32 == 0) warp_range[threadIdx.x / 32] = make_float2(lo, hi);
  __syncthreads();
  for (int warp = 0; warp < kThreads / 32; ++warp) {
    lo = fminf(lo, warp_range[warp].x);
    hi = fmaxf(hi, warp_range[warp].y);
  }
  return make_float2(lo, hi);
}

// value(i): element i, the same at every call. All threads of the block call this.
template <int kThreads, class Value>
__device__ __forceinline__ void quantize_row(const RowCodes& out, Value value) {
  constexpr int kChunk = 8;
  constexpr int kStride = kThreads * kChunk;
  __shared__ int32_t warp_sums[kThreads / 32];
  const int columns = out.columns;
  const int padded = static_cast<int>(nibble_padded_columns(columns));
  const int half = 1 << (out.bits - 1);
  const float largest = static_cast<float>(2 * half - 1);

  float step = 1.0f, zero = static_cast<float>(half);
  if (out.range != Range::kStatic) {
    float lo = INFINITY, hi = -INFINITY;
    for (int i = threadIdx.x; i < columns; i += kThreads) {
      const float v = value(i);
      lo = fminf(lo, v);
      hi = fmaxf(hi, v);
    }
    const float2 range = block_range<kThreads>(lo, hi);
    const bool symmetric = out.range == Range::kSymmetric;
    step = symmetric ? fmaxf(-range.x, range.y) / static_cast<float>(half - 1)
                     : (range.y - range.x) / largest;
    step = fminf(fmaxf(step, kSmallestStep), kLargestStep);
    if (!symmetric) zero = rintf(-range.x / step);
  }
  if (threadIdx.x == 0) {
    *out.scale = step;
    *out.zero = zero - static_cast<float>(half);
  }

  const int group = out.group;
  const bool by_lanes = group == 32 || group == 64 || group == 128;
  int total = 0;
  // Whole warps stay in the loop: the lanes of a group add up by shuffles.
  for (int base = 0; base < padded; base += kStride) {
    const int first = base + threadIdx.x * kChunk;
    int sum = 0;
    if (first < padded) {
      if (out.range == Range::kStatic && first < columns) {
        step = out.static_steps[first / 32];
        zero = static_cast<float>(out.static_zeros[first / 32]);
      }
      union {
        uint2 words;
        int8_t bytes[kChunk];
      } chunk;
#pragma unroll
      for (int i = 0; i < kChunk; ++i) {
        int code = 0;
        if (first + i < columns) {
          const float v = rintf(value(first + i) / step) + zero;
          code = static_cast<int>(fminf(fmaxf(v, 0.0f), largest)) - half;
        }
        chunk.bytes[i] = static_cast<int8_t>(code);
        sum += code;
      }
      *reinterpret_cast<uint2*>(out.codes + first) = chunk.words;
    }
    if (by_lanes) {
      const int lanes = group / kChunk;
      for (int offset = lanes / 2; offset > 0; offset >>= 1) {
        sum += __shfl_xor_sync(kAllLanes, sum, offset);
      }
      if (threadIdx.x % lanes == 0 && first < columns) out.sums[first / group] = sum;
    } else {
      total += sum;
    }
  }
  if (!by_lanes) {
    total = block_sum<kThreads>(total, warp_sums);
    if (threadIdx.x == 0) out.sums[0] = total;
  }
}

}  // namespace nibble

#endif  // NIBBLE_ROW_CODES_CUH
