// See row_norm.h. The row lies in shared memory: as it came, then normed, both in the source's channel
// order, which only the readers of the last steps leave.
#include "row_norm.h"

#include <cuda_fp16.h>

#include "dependent_launch.cuh"
#include "row_codes.cuh"

namespace {

constexpr int kStride = 4 * ROW_NORM_THREADS;

// Puts the row into shared memory, with its delta added where there is one.
__device__ __forceinline__ void load_row(const row_norm_args& args, int64_t row, float* shared) {
  float* x = args.x + row * args.x_stride;
  const __half* delta = static_cast<const __half*>(args.delta) + row * args.delta_stride;
  for (int i = threadIdx.x * 4; i < args.columns; i += kStride) {
    if (i + 4 <= args.columns) {
      float4 v = *reinterpret_cast<const float4*>(x + i);
      if (args.delta) {
        const float2 low = __half22float2(*reinterpret_cast<const __half2*>(delta + i));
        const float2 high = __half22float2(*reinterpret_cast<const __half2*>(delta + i + 2));
        v = make_float4(v.x + low.x, v.y + low.y, v.z + high.x, v.w + high.y);
        *reinterpret_cast<float4*>(x + i) = v;
      }
      *reinterpret_cast<float4*>(shared + i) = v;
    } else {
      for (int j = i; j < args.columns; ++j) {
        float v = x[j];
        if (args.delta) x[j] = v += __half2float(delta[j]);
        shared[j] = v;
      }
    }
  }
}

// Sum of squared distances from a value over this thread's elements.
__device__ __forceinline__ float squares(const float* shared, int columns, float from) {
  float sum = 0.0f;
  for (int i = threadIdx.x; i < columns; i += ROW_NORM_THREADS) {
    const float d = shared[i] - from;
    sum += d * d;
  }
  return sum;
}

__device__ __forceinline__ void write_half_row(const row_norm_args& args, const float* shared,
                                               __half* y) {
  for (int i = threadIdx.x * 4; i < args.columns; i += kStride) {
    float v[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int c = min(i + j, args.columns - 1);
      v[j] = shared[args.order ? args.order[c] : c];
    }
    if (i + 4 <= args.columns) {
      union {
        uint2 words;
        __half2 pairs[2];
      } out;
      out.pairs[0] = __floats2half2_rn(v[0], v[1]);
      out.pairs[1] = __floats2half2_rn(v[2], v[3]);
      *reinterpret_cast<uint2*>(y + i) = out.words;
    } else {
      for (int j = 0; i + j < args.columns; ++j) y[i + j] = __float2half_rn(v[j]);
    }
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(ROW_NORM_THREADS)
    row_norm(const __grid_constant__ row_norm_args args) {
  extern __shared__ float4 dynamic[];
  __shared__ float warp_sums[ROW_NORM_THREADS / 32];
  float* shared = reinterpret_cast<float*>(dynamic);
  const int64_t row = blockIdx.x;
  const int columns = args.columns;

  wait_for_previous_kernel();
  allow_next_kernel();
  load_row(args, args.first_row + row, shared);
  __syncthreads();

  float mean = 0.0f;
  if (args.kind == ROW_NORM_LAYER) {
    float sum = 0.0f;
    for (int i = threadIdx.x; i < columns; i += ROW_NORM_THREADS) sum += shared[i];
    mean = nibble::block_sum<ROW_NORM_THREADS>(sum, warp_sums) / static_cast<float>(columns);
  }
  const float total = nibble::block_sum<ROW_NORM_THREADS>(squares(shared, columns, mean), warp_sums);
  const float scale = 1.0f / sqrtf(total / static_cast<float>(columns) + args.epsilon);
  for (int i = threadIdx.x; i < columns; i += ROW_NORM_THREADS) {
    float v = (shared[i] - mean) * scale * args.weight[i];
    if (args.bias) v += args.bias[i];
    shared[i] = v;
  }
  __syncthreads();

  if (args.y) write_half_row(args, shared, static_cast<__half*>(args.y) + row * args.y_stride);
  if (!args.codes) return;
  if (args.outliers) {
    __syncthreads();
    for (int i = threadIdx.x; i < args.outlier_count; i += ROW_NORM_THREADS) {
      const int column = args.outliers[i];
      shared[args.order ? args.order[column] : column] = 0.0f;
    }
    __syncthreads();
  }
  const int group = args.group_columns;
  const nibble::RowCodes out = {args.codes + row * nibble_padded_columns(columns),
                                args.scales + row,
                                args.zeros + row,
                                args.sums + row * ((columns + group - 1) / group),
                                args.static_steps,
                                args.static_zeros,
                                columns,
                                group,
                                args.bits,
                                static_cast<nibble::Range>(args.range)};
  const uint16_t* order = args.order;
  nibble::quantize_row<ROW_NORM_THREADS>(
      out, [=](int i) { return shared[order ? order[i] : i]; });
}
