// See kv_stage.h. A warp restores 32 positions, one after the other.
#include "kv_stage.h"

#include "dependent_launch.cuh"
#include "head_row.cuh"

extern "C" __global__ void __launch_bounds__(KV_STAGE_THREADS)
    kv_stage(const __grid_constant__ kv_stage_args args) {
  const int lane = threadIdx.x % 32;
  const int head = blockIdx.y, value = blockIdx.z;
  const int bits = args.kv_bits, head_dim = args.head_dim;
  wait_for_previous_kernel();
  allow_next_kernel();
  const char* region = static_cast<const char*>(args.region);
  const int row_bytes = kv_row_bytes(bits, head_dim);
  const char* rows =
      region + (value ? kv_values_offset(bits, args.capacity, args.kv_heads, head_dim) : 0);
  const nibble::KvStep* steps = reinterpret_cast<const nibble::KvStep*>(
      region + kv_steps_offset(bits, args.capacity, args.kv_heads, head_dim));
  __half* out = static_cast<__half*>(value ? args.values : args.keys);
  const int first = blockIdx.x * KV_STAGE_THREADS + threadIdx.x / 32 * 32;
  const int end = min(first + 32, args.positions);
  for (int position = first; position < end; ++position) {
    const int64_t at = head * args.capacity + position;
    const uint32_t* row = reinterpret_cast<const uint32_t*>(rows + at * row_bytes);
    const nibble::KvStep kept = steps[2 * at + value];
    const float step = __half2float(kept.step), minimum = __half2float(kept.minimum);
    __half2* restored =
        reinterpret_cast<__half2*>(out + (head * args.stage_capacity + position) * head_dim);
    for (int i = lane; i < head_dim / 2; i += 32) {
      const float low = static_cast<float>(nibble::kv_code(row, bits, head_dim, 2 * i));
      const float high = static_cast<float>(nibble::kv_code(row, bits, head_dim, 2 * i + 1));
      restored[i] =
          __floats2half2_rn(__fmaf_rn(low, step, minimum), __fmaf_rn(high, step, minimum));
    }
  }
}
