// See x_split.h. Each warp takes 256 columns at a time.
#include "x_split.h"

#include "async_copy.cuh"
#include "x_parts.cuh"

namespace nibble {
namespace {

template <int kRun>
__device__ __forceinline__ void x_split(const x_split_args& args) {
  // Of each task of 256 columns.
  __shared__ float squares[X_SPLIT_MAX_COLUMNS / kTaskColumns];
  const int token = blockIdx.x, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int padded = static_cast<int>(nibble_padded_columns(args.columns));
  // As many tasks as gemv.h's kernel has, so that the sums of squares add up alike.
  const int tasks = (args.columns + NIBBLE_COLUMN_BLOCK - 1) / NIBBLE_COLUMN_BLOCK *
                    (NIBBLE_COLUMN_BLOCK / kTaskColumns);
  wait_for_previous_kernel();
  start_next_kernel();
  const int warps = X_SPLIT_THREADS / 32;
  for (int task = blockIdx.y * warps + warp; task < tasks; task += gridDim.y * warps) {
    const int first = task * kTaskColumns + lane * kLaneColumns;
    LaneColumns x = {};
    if (args.norm_weight == nullptr) {
      load_halves(static_cast<const __half*>(args.x) + token * args.x_stride, first, args.columns,
                  x.values);
    } else {
      x = load_weighted(static_cast<const float*>(args.x) + token * args.x_stride,
                        args.norm_weight, args.channel_order, first, args.columns);
      const float sum = warp_sum(x.square_sum);
      if (lane == 0) squares[task] = sum;
    }
    const XParts parts = quantize<kRun>(x.values);
    if (first < padded) {
      const int rows = 2 * static_cast<int>(gridDim.x);
      *reinterpret_cast<uint2*>(args.parts + nibble_tiled_offset(rows, 2 * token, first, 1)) =
          parts.high;
      *reinterpret_cast<uint2*>(args.parts + nibble_tiled_offset(rows, 2 * token + 1, first, 1)) =
          parts.low;
      if (first % kRun == 0) {
        float2* const run = static_cast<float2*>(args.runs) +
                            static_cast<int64_t>(first / kRun) * args.run_stride + token;
        *run = make_float2(parts.scale, __int_as_float(parts.sum));
        // Tokens are read in pairs.
        if (token + 1 == gridDim.x && token + 1 < args.run_stride) run[1] = make_float2(0.0f, 0.0f);
      }
    }
  }
  if (args.norm_weight != nullptr) __syncthreads();
  if (threadIdx.x == 0 && blockIdx.y == 0) {
    args.token_scales[token] =
        args.norm_weight == nullptr
            ? 1.0f
            : reciprocal_rms(squares, tasks, 1, args.columns, args.epsilon);
  }
}

}  // namespace
}  // namespace nibble

#define NIBBLE_X_SPLIT(run)                                             \
  extern "C" __global__ void __launch_bounds__(X_SPLIT_THREADS)         \
      x_split_g##run(const __grid_constant__ x_split_args args) {       \
    nibble::x_split<run>(args);                                         \
  }

NIBBLE_X_SPLIT(32)
NIBBLE_X_SPLIT(64)
NIBBLE_X_SPLIT(128)
