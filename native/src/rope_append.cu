// See rope_append.h.
#include "rope_append.h"

#include "dependent_launch.cuh"
#include "head_row.cuh"

extern "C" __global__ void __launch_bounds__(32 * ROPE_APPEND_WARPS)
    rope_append(const __grid_constant__ rope_append_args args) {
  __shared__ uint32_t words[ROPE_APPEND_WARPS][nibble::kMaxRowWords];
  __shared__ uint8_t codes[ROPE_APPEND_WARPS][nibble::kMaxHeadDim];
  const int64_t row = blockIdx.x;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int item = blockIdx.y * ROPE_APPEND_WARPS + warp;
  const int head_dim = args.head_dim;

  wait_for_previous_kernel();
  allow_next_kernel();
  const int position = args.positions[row];
  if (position < 0 || item >= args.heads + 2 * args.kv_heads) return;

  const bool query = item < args.heads;
  const bool value = item >= args.heads + args.kv_heads;
  const int head = query ? item : (item - args.heads) % args.kv_heads;
  const int kv_head = query ? head / (args.heads / args.kv_heads) : head;
  const __half* source =
      query ? static_cast<const __half*>(args.q) + row * args.q_stride
            : static_cast<const __half*>(value ? args.v : args.k) + row * args.kv_stride;
  nibble::HeadRow x(source + head * head_dim, head_dim);
  if (!value) {
    const float* weight = query ? args.q_norm : args.k_norm;
    if (weight) x.norm(weight, args.epsilon);
    if (args.cosines) {
      const int64_t table = int64_t{position} * (head_dim / 2);
      x.rotate(nibble::Rotation(args.cosines + table, args.sines + table,
                                args.order ? args.order + kv_head * (head_dim / 2) : nullptr,
                                head_dim));
    }
  }
  if (query) {
    if (args.query_bits < 16) x.fake_quantize(args.query_bits);
    x.write(static_cast<__half*>(args.q_out) + row * args.q_out_stride + head * head_dim);
    return;
  }

  const int bits = args.kv_bits;
  const nibble::KvStep step = x.encode(bits, words[warp], codes[warp]);
  char* region = static_cast<char*>(args.caches[row * args.cache_step]) + args.layer_offset;
  const int64_t at = kv_head * args.capacity + position;
  const int row_words = kv_row_bytes(bits, head_dim) / 4;
  const int64_t values = value ? kv_values_offset(bits, args.capacity, args.kv_heads, head_dim) : 0;
  uint32_t* out = reinterpret_cast<uint32_t*>(region + values) + at * row_words;
  for (int w = lane; w < row_words; w += 32) out[w] = words[warp][w];
  if (bits < 16 && lane == 0) {
    const int64_t steps = kv_steps_offset(bits, args.capacity, args.kv_heads, head_dim);
    reinterpret_cast<nibble::KvStep*>(region + steps)[2 * at + value] = step;
  }
}
