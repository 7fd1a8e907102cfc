// Weights of 16 bits as operand A of mma.m16n8k16, straight from device memory: lane 4 g + t reads 16
// bytes of rows g and g + 8 of a tile of 16 rows, columns 8 t to + 7 of each 32, which are A of two
// products once the columns are taken in the order 8 t + {0, 1 | 2, 3} and {4, 5 | 6, 7}; x is read in
// the same order. The columns of the product are tokens.
#ifndef NIBBLE_DENSE_TILE_CUH
#define NIBBLE_DENSE_TILE_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "async_copy.cuh"
#include "dense_gemv.h"
#include "epilogue.cuh"

namespace nibble {

constexpr int kClasses = DENSE_GEMV_WARPS;
constexpr int kRows = DENSE_GEMV_ROWS;
constexpr int kBlockColumns = DENSE_GEMV_BLOCK_COLUMNS;
constexpr int kPadding = 32;  // columns between tokens in shared memory, for its banks

struct F16 {
  static __device__ uint32_t halves(uint32_t pair) { return pair; }
};

struct Bf16 {
  static __device__ uint32_t halves(uint32_t pair) {
    const __half2 h = __floats2half2_rn(__uint_as_float(pair << 16),
                                        __uint_as_float(pair & 0xffff0000u));
    return *reinterpret_cast<const uint32_t*>(&h);
  }
};

__device__ __forceinline__ void multiply(float (&sums)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                                         uint32_t a3, uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},"
      "{%0,%1,%2,%3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// Eight 16-bit elements from a column on, zeros past the last; `whole`: 16-byte aligned.
__device__ __forceinline__ uint4 load_weights(const uint16_t* row, int column, int columns,
                                              bool whole) {
  if (whole && column + 8 <= columns) {
    uint4 piece;
    asm("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0,%1,%2,%3}, [%4];"
        : "=r"(piece.x), "=r"(piece.y), "=r"(piece.z), "=r"(piece.w)
        : "l"(row + column));
    return piece;
  }
  uint32_t words[4] = {0, 0, 0, 0};
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    if (column + i < columns) words[i / 2] |= static_cast<uint32_t>(row[column + i]) << (16 * (i % 2));
  }
  return make_uint4(words[0], words[1], words[2], words[3]);
}

// Tiles of 16 rows of all segments; with SwiGLU an item is gate's and up's tile.
struct Tiles {
  const dense_gemv_args& args;
  int pair;
  int items;

  __device__ explicit Tiles(const dense_gemv_args& a) : args(a) {
    pair = a.epilogue == GEMV_SWIGLU_F16;
    items = 0;
    for (int s = 0; s < (pair ? 1 : a.segment_count); ++s) items += tiles(s);
  }

  __device__ int tiles(int segment) const {
    return (args.segments[segment].rows + kRows - 1) / kRows;
  }

  // Segment and first row of an item's tile.
  __device__ OutputRow locate(int item, int part) const {
    OutputRow at = {part, item};
    if (!pair) {
      while (at.row >= tiles(at.segment)) at.row -= tiles(at.segment++);
    }
    at.row *= kRows;
    return at;
  }
};

// Whether all weights can be read 16 bytes at a time.
__device__ __forceinline__ bool aligned_weights(const dense_gemv_args& args) {
  bool whole = args.weight_stride % 8 == 0;
  for (int s = 0; s < args.segment_count; ++s) {
    whole = whole && reinterpret_cast<uintptr_t>(args.weights[s]) % 16 == 0;
  }
  return whole;
}

}  // namespace nibble

#endif  // NIBBLE_DENSE_TILE_CUH
