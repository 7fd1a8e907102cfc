// See attention_decode.h: flash-decoding. Warps go through segments (decode_segment.cuh), threads add up
// their partial sums.
#include "attention_decode.h"

#include "decode_block.cuh"
#include "decode_segment.cuh"
#include "dependent_launch.cuh"
#include "softmax_sum.cuh"

namespace nibble {
namespace {

__device__ __forceinline__ uint32_t cluster_size() {
#if __CUDA_ARCH__ >= 900
  uint32_t size;
  asm("mov.u32 %0, %%cluster_nctarank;" : "=r"(size));
  return size;
#else
  return 1;
#endif
}

__device__ __forceinline__ void cluster_arrive() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
#endif
}

__device__ __forceinline__ void cluster_wait() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}

// Writes to another block's shared memory, at the address that `at` has in this one.
__device__ __forceinline__ void store_cluster(float* at, int rank, float value) {
#if __CUDA_ARCH__ >= 900
  const uint32_t here = static_cast<uint32_t>(__cvta_generic_to_shared(at));
  asm volatile(
      "{\n\t.reg .u32 there;\n\tmapa.shared::cluster.u32 there, %0, %1;\n\t"
      "st.shared::cluster.f32 [there], %2;\n\t}" ::"r"(here),
      "r"(rank), "f"(value)
      : "memory");
#endif
}

template <int kBits, int kDim>
__device__ __forceinline__ void attend(const attention_decode_args& args) {
  constexpr int kOutputs = kQueries * kDim / ATTENTION_DECODE_THREADS;
  __shared__ DecodeShared shared;
  const int64_t row = blockIdx.z;
  const int position = args.positions[row];
  const int query_blocks = (args.heads / args.kv_heads + kQueries - 1) / kQueries;
  const int kv_head = blockIdx.x / query_blocks, query_block = blockIdx.x % query_blocks;
  const int group_heads = args.heads / args.kv_heads;
  const int first_head = kv_head * group_heads + query_block * kQueries;
  const int head_dim = kBits == kAnyBits ? args.head_dim : kDim;
  const int queries = min(group_heads - query_block * kQueries, kQueries);
  const int outputs = queries * head_dim;
  __half* out = static_cast<__half*>(args.out) + row * args.out_stride + first_head * head_dim;
  const int splits = gridDim.y, split_bits = __ffs(splits) - 1;

  if (position < 0) {
    wait_for_previous_kernel();
    allow_next_kernel();
    if (blockIdx.y == 0) {
      for (int i = threadIdx.x; i < outputs; i += ATTENTION_DECODE_THREADS) out[i] = __half(0.0f);
    }
    return;
  }

  const int bits = kBits == kAnyBits ? args.kv_bits : kBits;
  const int row_bytes =
      kBits == kAnyBits ? kv_row_bytes(bits, head_dim) : KvFormat<kBits, kDim>::kRowBytes;
  const char* region = static_cast<const char*>(args.caches[row]) + args.layer_offset;
  const int64_t first_row = kv_head * args.capacity;
  const int64_t values = args.capacity * args.kv_heads * row_bytes;
  const DecodeWork work = {region + first_row * row_bytes,
                           region + values + first_row * row_bytes,
                           reinterpret_cast<const uint2*>(region + 2 * values) + first_row,
                           {bits, head_dim},
                           row_bytes,
                           position,
                           args.window > 0 ? max(0, position + 1 - args.window) : 0,
                           queries,
                           1.44269504f / sqrtf(static_cast<float>(head_dim))};

  // Blocks of a cluster write to each other only when all of them run.
  const bool clustered = kBits != kAnyBits && splits > 1 &&
                         cluster_size() == static_cast<uint32_t>(splits);
  if (clustered) cluster_arrive();
  extern __shared__ float4 dynamic[];
  const DecodeSums sums = {reinterpret_cast<DecodeSums::Row*>(dynamic), queries};
  const int warp = threadIdx.x / 32;
  const int groups_here = kGroups >> split_bits, first_group = blockIdx.y * groups_here;
  // Codes are little to load: a warp goes through whole groups by itself where there are enough of them.
  // Else each does a segment of every group.
  const bool alone = KvFormat<kBits, kDim>::kCodes && groups_here >= kDecodeWarps;
  const int stride = alone ? 1 : kDecodeWarps;
  int segment = first_group * kDecodeWarps + warp * (alone ? groups_here : 1);
  DecodeSegments<kBits, kDim> segments(work, shared);
  segments.start(work.tile_of(segment), work.tile_of(segment + (alone ? groups_here : 1)));
  const int64_t table = int64_t{position} * (head_dim / 2);
  const Rotation rotation(args.cosines ? args.cosines + table : nullptr, args.sines + table,
                          args.order ? args.order + kv_head * (head_dim / 2) : nullptr, head_dim);
  allow_next_kernel();
  wait_for_previous_kernel();
  prepare(args, work, rotation, row, kv_head, first_head, blockIdx.y + 1 == splits, query_block == 0,
          shared);
  __syncthreads();
  segments.take_queries();

  const int64_t block = row * gridDim.x + blockIdx.x;
  float* partials = args.partials + block * kGroups * kQueries * kPartial;
  const int rounds = ((outputs - 1) / ATTENTION_DECODE_THREADS >> split_bits) + 1;
  // Hands a group's sum of an output to who adds up the groups.
  const auto hand_over = [&](int group, int round, int query, int channel, const SoftmaxSum& sum) {
    if (clustered) {
      float* to = sums.gathered(group, round >> split_bits, rounds);
      const int rank = round & (splits - 1);
      if (channel == kPartialValues) {
        const int pair = query % (ATTENTION_DECODE_THREADS / kDim);
        store_cluster(to + 2 * pair, rank, sum.maximum);
        store_cluster(to + 2 * pair + 1, rank, sum.weights);
      }
      store_cluster(to + kPartialValues + threadIdx.x, rank, sum.value);
    } else {
      float* to = partials + (group * kQueries + query) * kPartial;
      if (channel == kPartialValues) {
        to[0] = sum.maximum;
        to[1] = sum.weights;
      }
      to[channel] = sum.value;
    }
  };
  for (int i = 0; i < groups_here; ++i, segment += stride) {
    const bool more = i + 1 < groups_here;
    segments.run(work.tile_of(segment + 1),
                 sums.slot(alone ? (warp * groups_here + i) / kDecodeWarps : warp),
                 !alone || i % kDecodeWarps == 0);
    if (alone) continue;
    if (more) {
      segments.start(work.tile_of(segment + kDecodeWarps), work.tile_of(segment + kDecodeWarps + 1));
    }
    __syncthreads();
    if (clustered && i == 0) cluster_wait();
#pragma unroll 1
    for (int round = 0; round < kOutputs; ++round) {
      const int output = threadIdx.x + round * ATTENTION_DECODE_THREADS;
      if (output >= outputs) break;
      const int query = output / head_dim, channel = kPartialValues + output % head_dim;
      SoftmaxSum sum = {-INFINITY, 0.0f, 0.0f};
#pragma unroll
      for (int w = 0; w < kDecodeWarps; ++w) {
        const float* partial = sums.slot(w)[query];
        sum.add(partial[0], partial[1], partial[channel]);
      }
      if (splits == 1) {
        SoftmaxSum all = {-INFINITY, 0.0f, 0.0f};
        if (i > 0) all = sums.so_far()[output];
        all.add(sum.maximum, sum.weights, sum.value);
        sums.so_far()[output] = all;
      } else {
        hand_over(first_group + i, round, query, channel, sum);
      }
    }
    if (more) __syncthreads();
  }
  if (alone) {
    __syncthreads();
    if (clustered) cluster_wait();
    for (int round = 0; splits > 1 && round < kOutputs; ++round) {
      const int output = threadIdx.x + round * ATTENTION_DECODE_THREADS;
      if (output >= outputs) break;
      const int query = output / head_dim, channel = kPartialValues + output % head_dim;
      for (int group = 0; group < groups_here; ++group) {
        const float* partial = sums.slot(group)[query];
        hand_over(first_group + group, round, query, channel,
                  {partial[0], partial[1], partial[channel]});
      }
    }
  }

  // The groups of a row and head in order, by this block or, in a cluster, each block its outputs.
  if (clustered) {
    cluster_arrive();
    cluster_wait();
  } else if (splits > 1) {
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) shared.arrived = atomicInc(args.arrivals + block, splits - 1);
    __syncthreads();
    if (shared.arrived + 1 != static_cast<uint32_t>(splits)) return;
    __threadfence();
  }
  const int first_output = clustered ? blockIdx.y : 0, output_step = clustered ? splits : 1;
  for (int i = first_output; i < kOutputs; i += output_step) {
    const int output = threadIdx.x + i * ATTENTION_DECODE_THREADS;
    if (output >= outputs) break;
    const int query = output / head_dim, channel = kPartialValues + output % head_dim;
    SoftmaxSum sum = {-INFINITY, 0.0f, 0.0f};
    if (splits == 1 && !alone) {
      sum = sums.so_far()[output];
    } else if (splits == 1) {
#pragma unroll
      for (int group = 0; group < kGroups; ++group) {
        const float* from = sums.slot(group)[query];
        sum.add(from[0], from[1], from[channel]);
      }
    } else if (clustered) {
      const int pair = output / head_dim % (ATTENTION_DECODE_THREADS / kDim);
#pragma unroll
      for (int group = 0; group < kGroups; ++group) {
        const float* from = sums.gathered(group, i >> split_bits, rounds);
        sum.add(from[2 * pair], from[2 * pair + 1], from[kPartialValues + threadIdx.x]);
      }
    } else {
#pragma unroll
      for (int group = 0; group < kGroups; ++group) {
        const float* from = partials + (group * kQueries + query) * kPartial;
        sum.add(__ldcg(from), __ldcg(from + 1), __ldcg(from + channel));
      }
    }
    out[output] = sum.average();
  }
}

}  // namespace
}  // namespace nibble

#define ATTENTION_DECODE_KERNEL(name, bits, dim, blocks)                  \
  extern "C" __global__ void __launch_bounds__(ATTENTION_DECODE_THREADS, blocks) \
      name(const __grid_constant__ attention_decode_args args) {          \
    nibble::attend<bits, dim>(args);                                      \
  }

ATTENTION_DECODE_KERNEL(attention_decode_kv16_64, 16, 64, 4)
ATTENTION_DECODE_KERNEL(attention_decode_kv16_128, 16, 128, 3)
ATTENTION_DECODE_KERNEL(attention_decode_kv8_64, 8, 64, 4)
ATTENTION_DECODE_KERNEL(attention_decode_kv8_128, 8, 128, 4)
ATTENTION_DECODE_KERNEL(attention_decode_kv4_64, 4, 64, 4)
ATTENTION_DECODE_KERNEL(attention_decode_kv4_128, 4, 128, 4)
ATTENTION_DECODE_KERNEL(attention_decode_kv3_128, 3, 128, 4)
ATTENTION_DECODE_KERNEL(attention_decode_any, nibble::kAnyBits, 128, 3)
