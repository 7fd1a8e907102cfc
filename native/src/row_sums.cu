// See row_sums.h. A warp a row, group after group.
#include "row_sums.h"

#include <cuda_fp16.h>

extern "C" __global__ void __launch_bounds__(ROW_SUMS_THREADS)
    row_sums(const __grid_constant__ row_sums_args args) {
  const int row = blockIdx.x * ROW_SUMS_ROWS + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= args.padded_rows) return;
  const int columns = args.columns;
  const int group = args.group_size == 0 ? columns : args.group_size;
  float sum = 0.0f;
  for (int first = 0; first < columns; first += group) {
    const int64_t at = nibble_scale_index(columns, args.group_size, row, first / group);
    const float scale = __half2float(static_cast<const __half*>(args.scales)[at]);
    const int zero = args.zeros == nullptr ? 1 << (args.bits - 1) : args.zeros[at];
    int difference = 0;
    for (int column = first + lane; column < min(first + group, columns); column += 32) {
      difference += nibble_code(args.qweight, args.bits, columns, row, column) - zero;
    }
    sum += scale * static_cast<float>(__reduce_add_sync(0xffffffffu, difference));
  }
  if (lane == 0) args.row_sums[row] = sum;
}
