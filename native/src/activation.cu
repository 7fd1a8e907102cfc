// See activation.h. Without codes a block goes through its row once; with codes the row lies in
// shared memory between the two steps.
#include "activation.h"

#include <cuda_fp16.h>

#include "dependent_launch.cuh"
#include "row_codes.cuh"

namespace {

constexpr int kChunk = 8;

union Halves {
  uint4 words;
  __half values[kChunk];
};

__device__ __forceinline__ float activate(int kind, float x, float up) {
  switch (kind) {
    case ACTIVATION_SWIGLU:
      return x / (1.0f + expf(-x)) * up;
    case ACTIVATION_GELU:
      // Not 1 + erf, which cancels where x is negative.
      return 0.5f * x * erfcf(x * -0.70710678f);
    case ACTIVATION_RELU:
      return fmaxf(x, 0.0f);
    default:
      return x;
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(ACTIVATION_THREADS)
    activation(const __grid_constant__ activation_args args) {
  extern __shared__ float4 dynamic[];
  float* shared = reinterpret_cast<float*>(dynamic);
  const int64_t row = blockIdx.x;
  const int columns = args.columns;
  const bool gated = args.kind == ACTIVATION_SWIGLU;
  const __half* x = static_cast<const __half*>(args.x) + row * args.x_stride;
  const __half* up = static_cast<const __half*>(args.up) + row * args.x_stride;
  __half* y = static_cast<__half*>(args.y) + row * args.y_stride;

  wait_for_previous_kernel();
  allow_next_kernel();
  for (int first = threadIdx.x * kChunk; first < columns; first += ACTIVATION_THREADS * kChunk) {
    const int count = min(columns - first, kChunk);
    Halves a = {}, b = {};
    if (count == kChunk) {
      a.words = *reinterpret_cast<const uint4*>(x + first);
      if (gated) b.words = *reinterpret_cast<const uint4*>(up + first);
    } else {
#pragma unroll
      for (int i = 0; i < kChunk; ++i) {
        if (i < count) {
          a.values[i] = x[first + i];
          if (gated) b.values[i] = up[first + i];
        }
      }
    }
    float v[kChunk];
#pragma unroll
    for (int i = 0; i < kChunk; ++i) {
      v[i] = activate(args.kind, __half2float(a.values[i]), __half2float(b.values[i]));
      a.values[i] = __float2half_rn(v[i]);
    }
    if (args.codes) {
#pragma unroll
      for (int i = 0; i < kChunk; ++i) {
        if (i < count) shared[first + i] = v[i];
      }
    }
    if (!args.y) continue;
    if (count == kChunk) {
      *reinterpret_cast<uint4*>(y + first) = a.words;
    } else {
#pragma unroll
      for (int i = 0; i < kChunk; ++i) {
        if (i < count) y[first + i] = a.values[i];
      }
    }
  }
  if (!args.codes) return;

  __syncthreads();
  if (args.outliers) {
    for (int i = threadIdx.x; i < args.outlier_count; i += ACTIVATION_THREADS) {
      shared[args.outliers[i]] = 0.0f;
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
  nibble::quantize_row<ACTIVATION_THREADS>(out, [=](int i) { return shared[i]; });
}
