// See outlier_columns.h. A warp a row, its lanes over the columns.
#include "outlier_columns.h"

#include "async_copy.cuh"
#include "x_parts.cuh"

extern "C" __global__ void __launch_bounds__(OUTLIER_COLUMNS_THREADS)
    outlier_columns(const __grid_constant__ outlier_columns_args args) {
  const int row = blockIdx.x * OUTLIER_COLUMNS_ROWS + threadIdx.x / 32, lane = threadIdx.x % 32;
  const int64_t token = blockIdx.y;
  nibble::wait_for_previous_kernel();
  nibble::start_next_kernel();
  if (row >= args.rows) return;
  const __half* const weight =
      static_cast<const __half*>(args.weight) + static_cast<int64_t>(row) * args.count;
  const uint16_t* const x = static_cast<const uint16_t*>(args.x) + token * args.x_stride;
  float sum = 0.0f;
  for (int i = lane; i < args.count; i += 32) {
    const float value = __half2float(__ushort_as_half(nibble::load_fresh(x + args.columns[i])));
    sum = __fmaf_rn(__half2float(weight[i]), value, sum);
  }
  sum = nibble::warp_sum(sum);
  if (lane != 0) return;
  const int64_t at = token * args.y_stride + row;
  if (args.result == OUTLIER_COLUMNS_ADD_F16) {
    __half* const y = static_cast<__half*>(args.y) + at;
    *y = __float2half(__half2float(*y) + sum);
  } else {
    float* const y = static_cast<float*>(args.y) + at;
    *y = args.result == OUTLIER_COLUMNS_ADD_F32 ? *y + sum : sum;
  }
}
