// The skeleton of the products of gemm.h on architectures without wgmma: stages of tokens by
// cp.async, eight warps of 32 rows and 64 tokens each, mma.sync.
#ifndef NIBBLE_GEMM_STREAM_CUH
#define NIBBLE_GEMM_STREAM_CUH

#include "gemm.h"

namespace nibble {

constexpr int kStreamTokens = 128;
constexpr int kStageBytes = kStreamTokens * GEMM_TILE_ROW_BYTES;
constexpr int kWarpSubtiles = 2;
constexpr int kWarpTokens = 64;
constexpr int kWarpBlocks = kWarpTokens / 8;
constexpr int kDepthSteps = GEMM_TILE_ROW_BYTES / 32;  // of 32 bytes: one mma.sync each

__device__ __forceinline__ void multiply(float (&d)[4], const uint32_t* a, const uint32_t* b) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Signed weights.
__device__ __forceinline__ void multiply(int32_t (&d)[4], const uint32_t* a, const uint32_t* b) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ void multiply_unsigned(int32_t (&d)[4], const uint32_t* a,
                                                  const uint32_t* b) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Of depth 64: unsigned weights and signed tokens of 4 bits.
__device__ __forceinline__ void multiply_fours(int32_t (&d)[4], const uint32_t* a,
                                               const uint32_t* b) {
  asm volatile(
      "mma.sync.aligned.m16n8k64.row.col.s32.u4.s4.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Stages of tokens of one tile after the other; every thread of the block calls every function.
struct Stream {
  const uint8_t* x;
  int64_t tokens;
  int first_token, k_tiles, next;
  uint32_t stages;

  __device__ __forceinline__ void start(const gemm_args& args, int token, int count) {
    extern __shared__ uint8_t shared[];
    const auto base = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
    stages = base + (-base & (GEMM_SHARED_ALIGNMENT - 1));
    x = static_cast<const uint8_t*>(args.x);
    tokens = nibble_tiled_tokens(args.tokens);
    first_token = token;
    k_tiles = count;
    next = 0;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < GEMM_STAGES - 1; ++i) copy_next();
  }

  __device__ __forceinline__ void copy_next() {
    if (next < k_tiles) {
      const uint8_t* from = x + (next * tokens + first_token) * GEMM_TILE_ROW_BYTES;
      const uint32_t to = stages + next % GEMM_STAGES * kStageBytes;
      const int64_t bytes = (tokens - first_token) * GEMM_TILE_ROW_BYTES;
#pragma unroll
      for (int i = 0; i < kStageBytes / 16 / GEMM_THREADS; ++i) {
        const int byte = (i * GEMM_THREADS + threadIdx.x) * 16;
        const int there = byte < bytes ? 16 : 0;
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to + byte),
                     "l"(from + (there == 0 ? 0 : byte)), "r"(there)
                     : "memory");
      }
    }
    ++next;
    asm volatile("cp.async.commit_group;" ::: "memory");
  }

  // Makes stage k readable, and begins to copy the one that takes the place of stage k - 1.
  __device__ __forceinline__ uint32_t take(int k) {
    asm volatile("cp.async.wait_group %0;" ::"n"(GEMM_STAGES - 2) : "memory");
    __syncthreads();
    copy_next();
    return stages + k % GEMM_STAGES * kStageBytes;
  }

  // Fragments of 16 tokens, 32 bytes deep: two for the first eight, two for the others.
  __device__ __forceinline__ static void fragments(uint32_t stage, int token, int depth, int lane,
                                                   uint32_t (&b)[4]) {
    const int row = token + lane / 16 * 8 + lane % 8;
    const int piece = (2 * depth + lane / 8 % 2) ^ (row % 8);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
                 : "r"(stage + row * GEMM_TILE_ROW_BYTES + piece * 16)
                 : "memory");
  }
};

}  // namespace nibble

#endif  // NIBBLE_GEMM_STREAM_CUH
