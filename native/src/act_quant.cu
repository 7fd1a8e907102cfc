// See act_quant.h. Two passes over a token's row, the second served by L1: one for the range, one
// for codes and sums. A thread takes eight neighbouring columns at a time, so a group of 32, 64 or
// 128 columns is 4, 8 or 16 neighbouring lanes, and its sum needs only shuffles.
#include "act_quant.h"

#include <cuda_fp16.h>

#include "packed_layout.h"

namespace {

constexpr int kChunk = 8;
constexpr int kStride = ACT_QUANT_THREADS * kChunk;
constexpr int kWarps = ACT_QUANT_THREADS / 32;
constexpr unsigned kAllLanes = 0xffffffffu;
constexpr float kSmallestStep = 1e-5f;
constexpr float kLargestStep = 1e4f;

static_assert(NIBBLE_COLUMN_UNIT % kChunk == 0, "padding ends on a chunk");

// Loads the chunk at `first`, with 0 for columns past the last; returns how many there are.
__device__ __forceinline__ int load_chunk(const __half* row, int first, int columns,
                                          float (&values)[kChunk]) {
  if (first + kChunk <= columns) {
    union {
      uint4 words;
      __half halves[kChunk];
    } chunk;
    chunk.words = *reinterpret_cast<const uint4*>(row + first);
#pragma unroll
    for (int i = 0; i < kChunk; ++i) values[i] = __half2float(chunk.halves[i]);
    return kChunk;
  }
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    values[i] = first + i < columns ? __half2float(row[first + i]) : 0.0f;
  }
  return max(columns - first, 0);
}

// Smallest and largest value of the row, known to every thread.
__device__ __forceinline__ float2 row_range(const __half* row, int columns) {
  __shared__ float2 warp_range[kWarps];
  float lo = INFINITY, hi = -INFINITY;
  for (int first = threadIdx.x * kChunk; first < columns; first += kStride) {
    float values[kChunk];
    int count = load_chunk(row, first, columns, values);
#pragma unroll
    for (int i = 0; i < kChunk; ++i) {
      if (i < count) {
        lo = fminf(lo, values[i]);
        hi = fmaxf(hi, values[i]);
      }
    }
  }
  for (int offset = 16; offset > 0; offset >>= 1) {
    lo = fminf(lo, __shfl_xor_sync(kAllLanes, lo, offset));
    hi = fmaxf(hi, __shfl_xor_sync(kAllLanes, hi, offset));
  }
  if (threadIdx.x % 32 == 0) warp_range[threadIdx.x / 32] = make_float2(lo, hi);
  __syncthreads();
  for (int warp = 0; warp < kWarps; ++warp) {
    lo = fminf(lo, warp_range[warp].x);
    hi = fmaxf(hi, warp_range[warp].y);
  }
  return make_float2(lo, hi);
}

// Sum over the block, known to its first thread.
__device__ __forceinline__ int block_sum(int value) {
  __shared__ int warp_sum[kWarps];
  value = __reduce_add_sync(kAllLanes, value);
  if (threadIdx.x % 32 == 0) warp_sum[threadIdx.x / 32] = value;
  __syncthreads();
  int sum = 0;
  for (int warp = 0; warp < kWarps; ++warp) sum += warp_sum[warp];
  return sum;
}

}  // namespace

extern "C" __global__ void __launch_bounds__(ACT_QUANT_THREADS)
    act_quant(const __grid_constant__ act_quant_args args) {
  const int64_t token = blockIdx.x;
  const int columns = args.columns;
  const int padded = static_cast<int>(nibble_padded_columns(columns));
  const int half = 1 << (args.bits - 1);
  const float largest = static_cast<float>(2 * half - 1);
  const __half* row = static_cast<const __half*>(args.x) + token * args.x_stride;

  const float2 range = row_range(row, columns);
  const bool symmetric = args.range == ACT_QUANT_SYMMETRIC;
  float step = symmetric ? fmaxf(-range.x, range.y) / static_cast<float>(half - 1)
                         : (range.y - range.x) / largest;
  step = fminf(fmaxf(step, kSmallestStep), kLargestStep);
  const float zero = symmetric ? static_cast<float>(half) : rintf(-range.x / step);
  if (threadIdx.x == 0) {
    args.scales[token] = step;
    args.zeros[token] = zero - static_cast<float>(half);
  }

  int8_t* codes = args.codes + token * padded;
  const int group = args.group_columns;
  const bool by_lanes = group == 32 || group == 64 || group == 128;
  int32_t* sums = args.sums + token * ((columns + group - 1) / group);
  int total = 0;
  // Whole warps stay in the loop: the lanes of a group add up by shuffles.
  for (int base = 0; base < padded; base += kStride) {
    const int first = base + threadIdx.x * kChunk;
    int sum = 0;
    if (first < padded) {
      float values[kChunk];
      const int count = load_chunk(row, first, columns, values);
      union {
        uint2 words;
        int8_t bytes[kChunk];
      } chunk;
#pragma unroll
      for (int i = 0; i < kChunk; ++i) {
        const float code = fminf(fmaxf(rintf(values[i] / step) + zero, 0.0f), largest);
        const int kept = i < count ? static_cast<int>(code) - half : 0;
        chunk.bytes[i] = static_cast<int8_t>(kept);
        sum += kept;
      }
      *reinterpret_cast<uint2*>(codes + first) = chunk.words;
    }
    if (by_lanes) {
      const int lanes = group / kChunk;
      for (int offset = lanes / 2; offset > 0; offset >>= 1) {
        sum += __shfl_xor_sync(kAllLanes, sum, offset);
      }
      if (threadIdx.x % lanes == 0 && first < columns) sums[first / group] = sum;
    } else {
      total += sum;
    }
  }
  if (!by_lanes) {
    total = block_sum(total);
    if (threadIdx.x == 0) sums[0] = total;
  }
}
