// See embedding.h.
#include "embedding.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "dependent_launch.cuh"

namespace {

__device__ __forceinline__ float element(const void* table, int dtype, int64_t i) {
  switch (dtype) {
    case EMBEDDING_F16:
      return __half2float(static_cast<const __half*>(table)[i]);
    case EMBEDDING_BF16:
      return __bfloat162float(static_cast<const __nv_bfloat16*>(table)[i]);
    default:
      return static_cast<const float*>(table)[i];
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(EMBEDDING_THREADS)
    embedding(const __grid_constant__ embedding_args args) {
  const int64_t row = blockIdx.x;
  wait_for_previous_kernel();
  allow_next_kernel();
  const int64_t token = args.tokens[row];
  float* out = args.out + row * args.out_stride;
  const int64_t first = token * args.columns;
  const int64_t learned = args.learned ? int64_t{args.positions[row]} * args.columns : 0;
  const int begin = blockIdx.y * EMBEDDING_COLUMNS + threadIdx.x;
#pragma unroll
  for (int k = 0; k < EMBEDDING_COLUMNS; k += EMBEDDING_THREADS) {
    const int i = begin + k;
    if (i >= args.columns) break;
    float x = 0.0f;
    if (token >= 0) {
      x = element(args.table, args.dtype, first + i);
      if (args.learned) x += element(args.learned, args.learned_dtype, learned + i);
    }
    out[i] = x;
  }
}
