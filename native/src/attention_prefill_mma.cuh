// attention_prefill on any architecture since sm_80: eight warps of 16 query rows each, mma.m16n8k16,
// tiles of 64 keys and values in two stages of shared memory filled by cp.async.
#ifndef NIBBLE_ATTENTION_PREFILL_MMA_CUH
#define NIBBLE_ATTENTION_PREFILL_MMA_CUH

#include <cuda_fp16.h>
#include <stdint.h>

#include "attention_prefill.h"
#include "dependent_launch.cuh"

namespace nibble {

// What a block computes. The last rows have the most to do and come first, in turn for a few heads
// whose keys and values stay in L2.
struct PrefillBlock {
  int head;
  int first_row;
};

__device__ __forceinline__ PrefillBlock prefill_block(const attention_prefill_args& args) {
  constexpr int kHeads = 4;
  const int block = static_cast<int>(blockIdx.y * gridDim.x + blockIdx.x);
  const int row_blocks = static_cast<int>(gridDim.x);
  const int first_head = block / (row_blocks * kHeads) * kHeads;
  const int heads = min(kHeads, args.heads - first_head);
  const int rest = block - first_head * row_blocks;
  return {first_head + rest % heads,
          (row_blocks - 1 - rest / heads) * ATTENTION_PREFILL_ROWS};
}

// What query rows look at. Tiles of keys start at multiples of their length, so that a row's sums do
// not depend on its block.
struct PrefillRange {
  int first_tile;
  int end_tile;
};

__device__ __forceinline__ PrefillRange prefill_range(const attention_prefill_args& args,
                                                      int first_row, int tile_keys) {
  const int last_row = min(first_row + ATTENTION_PREFILL_ROWS, args.tokens) - 1;
  const int first_key =
      args.window > 0 ? max(0, args.position + first_row + 1 - args.window) : 0;
  return {first_key / tile_keys, (args.position + last_row) / tile_keys + 1};
}

__device__ __forceinline__ float exp_2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ __forceinline__ uint32_t half_pair(float low, float high) {
  const __half2 pair = __floats2half2_rn(low, high);
  return reinterpret_cast<const uint32_t&>(pair);
}

// 16 bytes to shared memory, or zeros.
__device__ __forceinline__ void copy_async(uint32_t to, const void* from, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(there ? 16 : 0));
}

// Softmax of rows g and g + 8 of a warp, over the tiles so far.
struct RowSoftmax {
  float maximum[2] = {-INFINITY, -INFINITY};
  float weights[2] = {};

  // Takes scores of a tile, [n / 4] columns of two rows each as mma lays them out; replaces them by
  // weights and tells what the sums so far are to be multiplied by.
  template <int kScores>
  __device__ __forceinline__ void add(float (&scores)[kScores], float scale, float (&shrink)[2]) {
    float largest[2] = {maximum[0], maximum[1]};
#pragma unroll
    for (int i = 0; i < kScores; ++i) {
      largest[i >> 1 & 1] = fmaxf(largest[i >> 1 & 1], scores[i]);
    }
    float offset[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      largest[r] = fmaxf(largest[r], __shfl_xor_sync(0xffffffffu, largest[r], 1));
      largest[r] = fmaxf(largest[r], __shfl_xor_sync(0xffffffffu, largest[r], 2));
      // Rounded before the difference, so that an unchanged maximum changes nothing.
      offset[r] = largest[r] == -INFINITY ? 0.0f : __fmul_rn(largest[r], scale);
      shrink[r] = exp_2(__fmul_rn(maximum[r], scale) - offset[r]);
      maximum[r] = largest[r];
      weights[r] *= shrink[r];
    }
#pragma unroll
    for (int i = 0; i < kScores; ++i) {
      scores[i] = exp_2(__fmaf_rn(scores[i], scale, -offset[i >> 1 & 1]));
      weights[i >> 1 & 1] += scores[i];
    }
  }

  // Factors of the sums at the end.
  __device__ __forceinline__ void finish(float (&factor)[2]) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      weights[r] += __shfl_xor_sync(0xffffffffu, weights[r], 1);
      weights[r] += __shfl_xor_sync(0xffffffffu, weights[r], 2);
      factor[r] = 1.0f / weights[r];
    }
  }
};

template <int kDim>
class PrefillMma {
  static constexpr int kKeys = 64;
  static constexpr int kThreads = 256;
  static constexpr int kStride = kDim + 8;
  static constexpr int kTileHalves = kKeys * kStride;
  static constexpr int kSteps = kDim / 16;
  static constexpr int kColumns = kDim / 8;

 public:
  static constexpr int kSharedBytes = 4 * kTileHalves * 2;

  // head_dim: kDim, or what it is padded from.
  static __device__ __forceinline__ void run(const attention_prefill_args& args, int head_dim,
                                             void* shared) {
    if (threadIdx.x >= kThreads) return;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const PrefillBlock block = prefill_block(args);
    const int head = block.head, first_row = block.first_row;
    const int kv_head = head / (args.heads / args.kv_heads);
    const int64_t kv_rows = kv_head * args.capacity;
    const __half* keys = static_cast<const __half*>(args.keys) + kv_rows * head_dim;
    const __half* values = static_cast<const __half*>(args.values) + kv_rows * head_dim;
    const PrefillRange range = prefill_range(args, first_row, kKeys);
    const int length = args.position + args.tokens;
    const uint32_t base = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
    wait_for_previous_kernel();
    allow_next_kernel();

    // A thread keeps its chunk of 8 channels.
    constexpr int kChunks = kDim / 8, kStep = kThreads / kChunks;
    const int copy_row = threadIdx.x / kChunks, chunk = threadIdx.x % kChunks;
    const bool chunk_there = chunk < head_dim / 8;
    const auto load = [&](int tile, int stage) {
      const int first = tile * kKeys + copy_row;
      const int64_t from = int64_t{first} * head_dim + chunk * 8;
      const uint32_t to = base + 2 * (stage * kTileHalves + copy_row * kStride + chunk * 8);
#pragma unroll
      for (int i = 0; i < kKeys / kStep; ++i) {
        const bool there = chunk_there && first + i * kStep < length;
        const int64_t row_from = there ? from + int64_t{i * kStep} * head_dim : 0;
        copy_async(to + 2 * i * kStep * kStride, keys + row_from, there);
        copy_async(to + 2 * i * kStep * kStride + 4 * kTileHalves, values + row_from, there);
      }
      asm volatile("cp.async.commit_group;");
    };
    load(range.first_tile, 0);

    const int row = first_row + warp * 16 + g;
    uint32_t queries[kSteps][4];
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int r = row + 8 * (j & 1), channel = 16 * s + 8 * (j >> 1) + 2 * t;
        const __half* from = static_cast<const __half*>(args.q) + r * args.q_stride +
                             int64_t{head} * head_dim + channel;
        queries[s][j] = r < args.tokens && channel < head_dim
                            ? *reinterpret_cast<const uint32_t*>(from)
                            : 0;
      }
    }

    const float scale = 1.44269504f / sqrtf(static_cast<float>(head_dim));
    RowSoftmax softmax;
    float sums[kColumns][4] = {};
    for (int tile = range.first_tile; tile < range.end_tile; ++tile) {
      const int stage = (tile - range.first_tile) & 1;
      asm volatile("cp.async.wait_group 0;" ::: "memory");
      asm volatile("bar.sync 1, %0;" ::"n"(kThreads) : "memory");
      if (tile + 1 < range.end_tile) load(tile + 1, stage ^ 1);
      float scores[kKeys / 2] = {};
      multiply_keys(base + 2 * stage * kTileHalves, lane, queries, scores);
      mask(args, tile * kKeys + 2 * t, args.position + row, scores);
      float shrink[2];
      softmax.add(scores, scale, shrink);
#pragma unroll
      for (int i = 0; i < kColumns; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) sums[i][j] *= shrink[j >> 1];
      }
      multiply_values(base + 2 * (2 + stage) * kTileHalves, lane, scores, sums);
    }

    float factor[2];
    softmax.finish(factor);
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int r = row + 8 * j;
      if (r >= args.tokens) continue;
      __half* out = static_cast<__half*>(args.out) + r * args.out_stride + int64_t{head} * head_dim;
#pragma unroll
      for (int i = 0; i < kColumns; ++i) {
        const int channel = 8 * i + 2 * t;
        if (channel < head_dim) {
          *reinterpret_cast<uint32_t*>(out + channel) =
              half_pair(sums[i][2 * j] * factor[j], sums[i][2 * j + 1] * factor[j]);
        }
      }
    }
  }

 private:
  static __device__ __forceinline__ void mma(float* sum, const uint32_t (&a)[4], uint32_t b0,
                                             uint32_t b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }

  static __device__ __forceinline__ void multiply_keys(uint32_t tile, int lane,
                                                       const uint32_t (&queries)[kSteps][4],
                                                       float (&scores)[kKeys / 2]) {
    // Matrices: keys 0-7 and 8-15 of 16, each with channels 0-7 and 8-15 of a step.
    const uint32_t at = tile + 2 * ((lane % 8 + lane / 16 * 8) * kStride + lane / 8 % 2 * 8);
#pragma unroll
    for (int n = 0; n < kKeys; n += 16) {
#pragma unroll
      for (int s = 0; s < kSteps; ++s) {
        uint32_t b[4];
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
                     : "r"(at + 2 * (n * kStride + 16 * s)));
        mma(scores + n / 2, queries[s], b[0], b[1]);
        mma(scores + n / 2 + 4, queries[s], b[2], b[3]);
      }
    }
  }

  static __device__ __forceinline__ void multiply_values(uint32_t tile, int lane,
                                                         const float (&weights)[kKeys / 2],
                                                         float (&sums)[kColumns][4]) {
    // Matrices: channels 0-7 and 8-15 of 16, each with keys 0-7 and 8-15 of a step.
    const uint32_t at = tile + 2 * (lane % 16 * kStride + lane / 16 * 8);
#pragma unroll
    for (int s = 0; s < kKeys / 16; ++s) {
      const float* w = weights + 8 * s;
      const uint32_t a[4] = {half_pair(w[0], w[1]), half_pair(w[2], w[3]), half_pair(w[4], w[5]),
                             half_pair(w[6], w[7])};
#pragma unroll
      for (int i = 0; i < kColumns; i += 2) {
        uint32_t b[4];
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
                     : "r"(at + 2 * (16 * s * kStride + 8 * i)));
        mma(sums[i], a, b[0], b[1]);
        mma(sums[i + 1], a, b[2], b[3]);
      }
    }
  }

  // Scores that a row may not see become -infinity. `key`: of the first column.
  static __device__ __forceinline__ void mask(const attention_prefill_args& args, int key,
                                              int position, float (&scores)[kKeys / 2]) {
    const int tile = key / kKeys * kKeys;
    const int window = args.window > 0 ? args.window : INT32_MAX;
    const bool all = tile + kKeys - 1 <= position && position + 8 - tile < window;
    if (__all_sync(0xffffffffu, all)) return;
#pragma unroll
    for (int i = 0; i < kKeys / 2; ++i) {
      const int behind = position + 8 * (i >> 1 & 1) - (key + i / 4 * 8 + (i & 1));
      if (behind < 0 || behind >= window) scores[i] = -INFINITY;
    }
  }
};

}  // namespace nibble

#endif  // NIBBLE_ATTENTION_PREFILL_MMA_CUH
