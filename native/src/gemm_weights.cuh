// Weights of the products of gemm.h on their way from memory to register fragments. The fragments of
// mma.sync and of wgmma are the same: a warp has 16 rows, lane l rows l / 4 and l / 4 + 8.
#ifndef NIBBLE_GEMM_WEIGHTS_CUH
#define NIBBLE_GEMM_WEIGHTS_CUH

#include <cuda_fp16.h>

#include "gemm.h"

namespace nibble {

constexpr int kStepColumns = NIBBLE_STEP_COLUMNS;
constexpr int kUnitColumns = NIBBLE_COLUMN_UNIT;
constexpr int kSubtileRows = NIBBLE_SUBTILE_ROWS;

__device__ __forceinline__ uint32_t bits_of(__half2 value) {
  return *reinterpret_cast<const uint32_t*>(&value);
}

__device__ __forceinline__ __half2 halves_of(uint32_t bits) {
  return *reinterpret_cast<const __half2*>(&bits);
}

// The 16 rows of a warp among the weights, or where there are none the last ones at their place in a
// block of 64: what is made of those is not stored.
struct RowTile {
  int64_t block;
  int row;             // of the block
  int padded_columns;

  __device__ __forceinline__ RowTile(const gemm_args& args, int64_t first_row)
      : block(min(first_row, nibble_padded_rows(args.rows) - 1) / NIBBLE_ROW_BLOCK),
        row(static_cast<int>(first_row % NIBBLE_ROW_BLOCK)),
        padded_columns(static_cast<int>(nibble_padded_columns(args.columns))) {}

  __device__ __forceinline__ bool odd() const { return row / kSubtileRows % 2 == 1; }

  // Columns of the column block that begins at first_column.
  __device__ __forceinline__ int block_columns(int first_column) const {
    return min(NIBBLE_COLUMN_BLOCK, padded_columns - first_column);
  }
};

// The codes that a lane has of 16 rows and 128 columns.
template <int kBits>
struct Codes {
  static constexpr int kTileRows = kBits == 3 ? 2 * kSubtileRows : kSubtileRows;
  static constexpr int kTileColumns = kBits == 8   ? kStepColumns
                                      : kBits == 4 ? 2 * kStepColumns
                                                   : 4 * kStepColumns;
  static constexpr int kColumnBytes = kTileRows * kBits / 8;  // of a column of a tile
  static constexpr int kChunks = kUnitColumns * kColumnBytes / NIBBLE_CHUNK_BYTES;

  uint32_t words[kChunks][4];

  // nibble_tile_offset, in 32 bits within the row block.
  __device__ __forceinline__ void load(const gemm_args& args, const RowTile& tile, int column,
                                       int lane) {
    const int block_column = column / NIBBLE_COLUMN_BLOCK * NIBBLE_COLUMN_BLOCK;
    const int offset = NIBBLE_ROW_BLOCK * kBits / 8 * block_column +
                       tile.row / kTileRows * kColumnBytes * tile.block_columns(block_column) +
                       kColumnBytes * (column - block_column);
    const uint8_t* block = static_cast<const uint8_t*>(args.weight) +
                           tile.block * (NIBBLE_ROW_BLOCK * kBits / 8 * tile.padded_columns);
    const auto* chunks =
        reinterpret_cast<const uint4*>(block + offset + lane * NIBBLE_LANE_BYTES);
#pragma unroll
    for (int i = 0; i < kChunks; ++i) {
      const uint4 chunk = __ldg(chunks + i * NIBBLE_LANES);
      words[i][0] = chunk.x;
      words[i][1] = chunk.y;
      words[i][2] = chunk.z;
      words[i][3] = chunk.w;
    }
  }

  // Four codes, a byte each: row l / 4 + 8 (j mod 2), columns 32 step + 16 (j / 2) + 4 (l mod 4) and
  // on. odd: the second subtile of a pair, for W3.
  __device__ __forceinline__ uint32_t bytes(int step, int j, bool odd) const {
    if constexpr (kBits == 8) return words[step][j];
    if constexpr (kBits == 4) return words[step / 2][j] >> 4 * (step % 2) & 0x0f0f0f0f;
    if constexpr (kBits == 2) return words[0][j] >> 2 * step & 0x03030303;
    if constexpr (kBits == 6) {
      return step < 3 ? words[step][j] & 0x3f3f3f3f
                      : (words[0][j] >> 6 & 0x03030303) | (words[1][j] >> 4 & 0x0c0c0c0c) |
                            (words[2][j] >> 2 & 0x30303030);
    }
    if constexpr (kBits == 3) {
      if (step < 2) return (odd ? words[2][j] : words[0][j]) >> 3 * step & 0x07070707;
      const uint32_t high = (words[step - 2][j] >> 6 & 0x03030303) |
                            (words[2][j] >> (step + 2) & 0x04040404);
      return odd ? high : words[1][j] >> 3 * (step - 2) & 0x07070707;
    }
  }
};

// Scales and zeros of a lane's two rows and the groups of 128 columns.
template <int kBits>
struct Scales {
  __half scales[4][2];
  uint8_t zeros[4][2];

  // nibble_scale_index, in 32 bits within the row block.
  __device__ __forceinline__ void load(const gemm_args& args, const RowTile& tile, int column,
                                       int lane) {
    int64_t block = tile.block * NIBBLE_ROW_BLOCK;
    int index = tile.row + lane / 4;
    int groups = 1;
    if (args.group_size != 0) {
      const int shift = __ffs(args.group_size) - 1;
      const int block_column = column / NIBBLE_COLUMN_BLOCK * NIBBLE_COLUMN_BLOCK;
      block *= tile.padded_columns >> shift;
      index = (block_column >> shift) * NIBBLE_ROW_BLOCK +
              tile.row * (tile.block_columns(block_column) >> shift) +
              ((column - block_column) >> shift) * kSubtileRows + lane / 4;
      groups = kUnitColumns >> shift;
    }
    const auto* scale = static_cast<const __half*>(args.scales) + block + index;
    const uint8_t* zero = args.zeros + block + index;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (i < groups) {
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          scales[i][j] = __ldg(scale + i * kSubtileRows + 8 * j);
          if (args.zeros != nullptr) zeros[i][j] = __ldg(zero + i * kSubtileRows + 8 * j);
        }
      }
    }
  }

  // Of a step of 32 columns and the row l / 4 + 8 j.
  __device__ __forceinline__ __half scale(const gemm_args& args, int step, int j) const {
    return of_step(args, scales, step, j);
  }

  __device__ __forceinline__ int zero(const gemm_args& args, int step, int j) const {
    return args.zeros == nullptr ? 1 << (kBits - 1) : of_step(args, zeros, step, j);
  }

 private:
  template <class T>
  __device__ __forceinline__ static T of_step(const gemm_args& args, const T (&values)[4][2],
                                              int step, int j) {
    return args.group_size == 32   ? values[step][j]
           : args.group_size == 64 ? values[step / 2][j]
                                   : values[0][j];
  }
};

// Packed weights as fp16, columns in the order of a tiled matrix.
template <int kBits>
struct PackedHalves {
  static constexpr int kUnitSteps = 4;
  static constexpr bool kInPlace = false;  // whether fragments are the loaded registers themselves

  Codes<kBits> codes;
  Scales<kBits> scales;

  __device__ __forceinline__ void load(const gemm_args& args, const RowTile& tile, int column,
                                       int lane) {
    codes.load(args, tile, column, lane);
    scales.load(args, tile, column, lane);
  }

  // Fragments of two products of depth 16.
  __device__ __forceinline__ void fragments(const gemm_args& args, int step, bool odd,
                                            uint32_t (&a)[8]) const {
    constexpr uint32_t k1024 = 0x64006400;  // its mantissa's low bits count units
    __half2 scale[2], zero[2];
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      scale[j] = __half2half2(scales.scale(args, step, j));
      zero[j] = halves_of(scales.zero(args, step, j) * 0x00010001u | k1024);
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const uint32_t bytes = codes.bytes(step, j, odd);
      const uint32_t low = __byte_perm(bytes, k1024, 0x7170);
      const uint32_t high = __byte_perm(bytes, k1024, 0x7372);
      const int r = j % 2;
      a[j / 2 * 4 + r] = bits_of(__hmul2(__hsub2(halves_of(low), zero[r]), scale[r]));
      a[j / 2 * 4 + r + 2] = bits_of(__hmul2(__hsub2(halves_of(high), zero[r]), scale[r]));
    }
  }
};

// Dense fp16 or bf16 weights as fp16, columns in the order of a tiled matrix.
template <bool kBfloat>
struct DenseHalves {
  static constexpr int kUnitSteps = 2;
  static constexpr bool kInPlace = !kBfloat;

  uint2 words[4][2];

  __device__ __forceinline__ void load(const gemm_args& args, const RowTile& tile, int column,
                                       int lane) {
    const bool aligned = args.weight_stride % 4 == 0;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int64_t mine = tile.block * NIBBLE_ROW_BLOCK + tile.row + lane / 4 + 8 * j;
      const int columns = mine < args.rows ? args.columns : 0;
      const auto* weights =
          static_cast<const unsigned short*>(args.weight) + mine * args.weight_stride;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int first = column + 16 * i + lane % 4 * 4;
        if (aligned && first + 4 <= columns) {
          words[i][j] = __ldg(reinterpret_cast<const uint2*>(weights + first));
        } else {
          uint2 run = {};
          if (first < columns) run.x = weights[first];
          if (first + 1 < columns) run.x |= static_cast<uint32_t>(weights[first + 1]) << 16;
          if (first + 2 < columns) run.y = weights[first + 2];
          if (first + 3 < columns) run.y |= static_cast<uint32_t>(weights[first + 3]) << 16;
          words[i][j] = run;
        }
      }
    }
  }

  __device__ __forceinline__ void fragments(const gemm_args&, int step, bool,
                                            uint32_t (&a)[8]) const {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        a[4 * i + j] = halves(words[2 * step + i][j].x);
        a[4 * i + j + 2] = halves(words[2 * step + i][j].y);
      }
    }
  }

 private:
  __device__ __forceinline__ static uint32_t halves(uint32_t pair) {
    if constexpr (!kBfloat) return pair;
    return bits_of(__floats2half2_rn(__uint_as_float(pair << 16),
                                     __uint_as_float(pair & 0xffff0000u)));
  }
};

}  // namespace nibble

#endif  // NIBBLE_GEMM_WEIGHTS_CUH
