// The tiles of packed_layout.h as operand A of mma.m16n8k32 u8 x s8.
#ifndef NIBBLE_PACKED_TILE_CUH
#define NIBBLE_PACKED_TILE_CUH

#include <cstdint>

#include "packed_layout.h"

namespace nibble {

// One tile: kSubtiles x 16 rows, kSteps fragments of 32 columns each, in kChunks chunks. Fragments
// whose codes stay at bit k of their bytes go to a sum of their own, which holds 2^k times the true
// one: kChains sums, chain(fragment, step) names a fragment's and shift(chain) its k. Formats of
// one field use two chains so that an mma need not wait for the one before it.
template <int kBits>
struct Tile;

template <>
struct Tile<8> {
  static constexpr int kSubtiles = 1, kSteps = 1, kChunks = 1, kChains = 2;
  static constexpr __device__ int chain(int, int step) { return step & 1; }
  static constexpr __device__ int shift(int) { return 0; }
};

template <>
struct Tile<6> {
  static constexpr int kSubtiles = 1, kSteps = 4, kChunks = 3, kChains = 2;
  static constexpr __device__ int chain(int fragment, int) { return fragment & 1; }
  static constexpr __device__ int shift(int) { return 0; }
};

template <>
struct Tile<4> {
  static constexpr int kSubtiles = 1, kSteps = 2, kChunks = 1, kChains = 2;
  static constexpr __device__ int chain(int fragment, int) { return fragment; }
  static constexpr __device__ int shift(int chain) { return 4 * chain; }
};

template <>
struct Tile<3> {
  static constexpr int kSubtiles = 2, kSteps = 4, kChunks = 3, kChains = 2;
  static constexpr __device__ int chain(int fragment, int) {
    return fragment < 6 ? fragment & 1 : 0;
  }
  static constexpr __device__ int shift(int chain) { return 3 * chain; }
};

template <>
struct Tile<2> {
  static constexpr int kSubtiles = 1, kSteps = 4, kChunks = 1, kChains = 4;
  static constexpr __device__ int chain(int fragment, int) { return fragment; }
  static constexpr __device__ int shift(int chain) { return 2 * chain; }
};

template <int kBits>
using Fragments = uint32_t[Tile<kBits>::kSubtiles * Tile<kBits>::kSteps][4];

// A lane's fragments of a tile, from its 16 bytes of each chunk.
template <int kBits>
__device__ __forceinline__ void unpack(const uint4 (&chunks)[Tile<kBits>::kChunks],
                                       Fragments<kBits>& fragments) {
  uint32_t words[Tile<kBits>::kChunks][4];
#pragma unroll
  for (int c = 0; c < Tile<kBits>::kChunks; ++c) {
    words[c][0] = chunks[c].x;
    words[c][1] = chunks[c].y;
    words[c][2] = chunks[c].z;
    words[c][3] = chunks[c].w;
  }
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    if constexpr (kBits == 8) {
      fragments[0][j] = words[0][j];
    } else if constexpr (kBits == 6) {
#pragma unroll
      for (int c = 0; c < 3; ++c) fragments[c][j] = words[c][j] & 0x3f3f3f3fu;
      fragments[3][j] = (words[0][j] >> 6 & 0x03030303u) | (words[1][j] >> 4 & 0x0c0c0c0cu) |
                        (words[2][j] >> 2 & 0x30303030u);
    } else if constexpr (kBits == 4) {
      fragments[0][j] = words[0][j] & 0x0f0f0f0fu;
      fragments[1][j] = words[0][j] & 0xf0f0f0f0u;
    } else if constexpr (kBits == 3) {
#pragma unroll
      for (int c = 0; c < 3; ++c) {
        fragments[2 * c][j] = words[c][j] & 0x07070707u;
        fragments[2 * c + 1][j] = words[c][j] & 0x38383838u;
      }
      fragments[6][j] = (words[0][j] >> 6 & 0x03030303u) | (words[2][j] >> 4 & 0x04040404u);
      fragments[7][j] = (words[1][j] >> 6 & 0x03030303u) | (words[2][j] >> 5 & 0x04040404u);
    } else {
#pragma unroll
      for (int s = 0; s < 4; ++s) fragments[s][j] = words[0][j] & (0x03030303u << (2 * s));
    }
  }
}

// sums[16 rows, 8] += a [16, 32] u8 x b [32, 8] s8. A lane has rows lane / 4 and + 8, columns
// 2 (lane % 4) and + 1.
__device__ __forceinline__ void multiply(int (&sums)[4], const uint32_t (&a)[4], uint32_t b0,
                                         uint32_t b1) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},"
      "{%0,%1,%2,%3};"
      : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

}  // namespace nibble

#endif  // NIBBLE_PACKED_TILE_CUH
