// What the kernels of skinny.cuh load: stages into shared memory, and fragments from there.
#ifndef NIBBLE_SKINNY_LOADS_CUH
#define NIBBLE_SKINNY_LOADS_CUH

#include <cuda_fp16.h>

#include <cstdint>

#include "async_copy.cuh"
#include "skinny.h"

namespace nibble {

constexpr int kSteps = SKINNY_COLUMNS / NIBBLE_STEP_COLUMNS;
constexpr int kBlockStages = NIBBLE_COLUMN_BLOCK / SKINNY_COLUMNS;

// Copies 16 or 4 bytes to shared memory, or zeros where there is nothing to copy.
__device__ __forceinline__ void copy16_or_zero(uint32_t to, const void* from, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(there ? 16 : 0)
               : "memory");
}

__device__ __forceinline__ void copy4_or_zero(uint32_t to, const void* from, bool there) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from),
               "r"(there ? 4 : 0)
               : "memory");
}

__device__ __forceinline__ void end_copies_of_stage() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

template <int kPending>
__device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// Operand B of two steps: 8 columns of 64 bytes.
__device__ __forceinline__ void load_columns(uint32_t (&b)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
               : "r"(address)
               : "memory");
}

// A lane's fragments of 16 rows and 128 columns. `codes` are those of 16 rows, for W3 of 32.
template <int kBits>
__device__ __forceinline__ void load_fragments(uint32_t (&a)[kSteps][4], const uint8_t* codes,
                                               int subtile, int lane) {
  constexpr int chunks = kBits == 3 ? 3 : kBits / 2;
  uint32_t words[chunks][4];
#pragma unroll
  for (int c = 0; c < chunks; ++c) {
    const uint4 chunk = *reinterpret_cast<const uint4*>(codes + c * NIBBLE_CHUNK_BYTES +
                                                        lane * NIBBLE_LANE_BYTES);
    words[c][0] = chunk.x, words[c][1] = chunk.y, words[c][2] = chunk.z, words[c][3] = chunk.w;
  }
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    if constexpr (kBits == 8) {
#pragma unroll
      for (int s = 0; s < kSteps; ++s) a[s][j] = words[s][j];
    } else if constexpr (kBits == 4) {
#pragma unroll
      for (int s = 0; s < kSteps; ++s) a[s][j] = words[s / 2][j] >> (4 * (s % 2)) & 0x0f0f0f0fu;
    } else if constexpr (kBits == 2) {
#pragma unroll
      for (int s = 0; s < kSteps; ++s) a[s][j] = words[0][j] >> (2 * s) & 0x03030303u;
    } else if constexpr (kBits == 6) {
#pragma unroll
      for (int s = 0; s < 3; ++s) a[s][j] = words[s][j] & 0x3f3f3f3fu;
      a[3][j] = (words[0][j] >> 6 & 0x03030303u) | (words[1][j] >> 4 & 0x0c0c0c0cu) |
                (words[2][j] >> 2 & 0x30303030u);
    } else if (subtile == 0) {
#pragma unroll
      for (int s = 0; s < kSteps; ++s) a[s][j] = words[s / 2][j] >> (3 * (s % 2)) & 0x07070707u;
    } else {
      a[0][j] = words[2][j] & 0x07070707u;
      a[1][j] = words[2][j] >> 3 & 0x07070707u;
      a[2][j] = (words[0][j] >> 6 & 0x03030303u) | (words[2][j] >> 4 & 0x04040404u);
      a[3][j] = (words[1][j] >> 6 & 0x03030303u) | (words[2][j] >> 5 & 0x04040404u);
    }
  }
}

}  // namespace nibble

#endif  // NIBBLE_SKINNY_LOADS_CUH
