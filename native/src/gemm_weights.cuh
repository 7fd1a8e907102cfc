// Weights of the products of gemm.h on their way from memory to register fragments. The fragments
// of mma.sync and of wgmma are the same: a warp has 16 rows, lane l rows l / 4 and l / 4 + 8.
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

// Loads stay where they are written, a step or more ahead of their use.
__device__ __forceinline__ uint4 load_ahead(const uint4* from) {
  uint4 out;
  asm volatile("ld.global.nc.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(out.x), "=r"(out.y), "=r"(out.z), "=r"(out.w)
               : "l"(from));
  return out;
}

__device__ __forceinline__ uint2 load_ahead(const uint2* from) {
  uint2 out;
  asm volatile("ld.global.nc.v2.u32 {%0, %1}, [%2];" : "=r"(out.x), "=r"(out.y) : "l"(from));
  return out;
}

__device__ __forceinline__ uint32_t load_ahead(const unsigned short* from) {
  uint32_t out;
  asm volatile("ld.global.nc.u16 %0, [%1];" : "=r"(out) : "l"(from));
  return out;
}

__device__ __forceinline__ uint32_t load_ahead(const uint8_t* from) {
  uint32_t out;
  asm volatile("ld.global.nc.u8 %0, [%1];" : "=r"(out) : "l"(from));
  return out;
}

// The 16 rows of a warp among the weights, or where there are none the last ones at their place in
// a block of 64: what is made of those is not stored.
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
  static constexpr int kRunBytes = kUnitColumns * kColumnBytes;
  static constexpr int kChunks = kRunBytes / NIBBLE_CHUNK_BYTES;

  uint32_t words[kChunks][4];

  // Where the codes of a tile's rows and 128 columns from `column` begin: nibble_tile_offset, in 32
  // bits within the row block. They are a run of kChunks chunks.
  __device__ __forceinline__ static const uint8_t* run(const gemm_args& args, const RowTile& tile,
                                                       int column) {
    const int block_column = column / NIBBLE_COLUMN_BLOCK * NIBBLE_COLUMN_BLOCK;
    const int offset = NIBBLE_ROW_BLOCK * kBits / 8 * block_column +
                       tile.row / kTileRows * kColumnBytes * tile.block_columns(block_column) +
                       kColumnBytes * (column - block_column);
    return static_cast<const uint8_t*>(args.weight) +
           tile.block * (NIBBLE_ROW_BLOCK * kBits / 8 * tile.padded_columns) + offset;
  }

  __device__ __forceinline__ void load(const gemm_args& args, const RowTile& tile, int column,
                                       int lane) {
    const auto* chunks = reinterpret_cast<const uint4*>(run(args, tile, column));
#pragma unroll
    for (int i = 0; i < kChunks; ++i) set(i, load_ahead(chunks + i * NIBBLE_LANES + lane));
  }

  // From the codes of a warp's rows and of those before them, in shared memory.
  __device__ __forceinline__ void take(const uint8_t* codes, int warp, int lane) {
    const auto* chunks =
        reinterpret_cast<const uint4*>(codes + warp * kSubtileRows / kTileRows * kRunBytes);
#pragma unroll
    for (int i = 0; i < kChunks; ++i) set(i, chunks[i * NIBBLE_LANES + lane]);
  }

  __device__ __forceinline__ void set(int i, uint4 chunk) {
    words[i][0] = chunk.x;
    words[i][1] = chunk.y;
    words[i][2] = chunk.z;
    words[i][3] = chunk.w;
  }

  // Four codes, a byte each: row l / 4 + 8 (j mod 2), columns 32 step + 16 (j / 2) + 4 (l mod 4)
  // and on. odd: the second subtile of a pair, for W3.
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

// Scales and zeros of a lane's two rows and the groups of 128 columns, of which there are at most
// kGroups.
template <int kBits, int kGroups = 4>
struct Scales {
  uint32_t scales[kGroups][2];
  uint32_t zeros[kGroups][2];

  // From nibble_scale_index, in 32 bits within the row block.
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
    const auto* scale = static_cast<const unsigned short*>(args.scales) + block + index;
    const uint8_t* zero = args.zeros + block + index;
#pragma unroll
    for (int i = 0; i < kGroups; ++i) {
      if (i == 0 || i < groups) {
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          scales[i][j] = load_ahead(scale + i * kSubtileRows + 8 * j);
          if (args.zeros != nullptr) zeros[i][j] = load_ahead(zero + i * kSubtileRows + 8 * j);
        }
      }
    }
  }

  // Of a step of 32 columns and the row l / 4 + 8 j; group_steps: steps of a group, 4 where it has
  // more.
  __device__ __forceinline__ __half scale(int group_steps, int step, int j) const {
    return __ushort_as_half(static_cast<unsigned short>(of_step(scales, group_steps, step, j)));
  }

  __device__ __forceinline__ uint32_t zero(const gemm_args& args, int group_steps, int step,
                                      int j) const {
    return args.zeros == nullptr ? 1 << (kBits - 1) : of_step(zeros, group_steps, step, j);
  }

 private:
  __device__ __forceinline__ static uint32_t of_step(const uint32_t (&values)[kGroups][2],
                                                     int group_steps, int step, int j) {
    if constexpr (kGroups == 1) return values[0][j];
    if constexpr (kGroups == 2) return values[step / 2][j];
    return group_steps == 1   ? values[step % kGroups][j]
           : group_steps == 2 ? values[step / 2 % kGroups][j]
                              : values[0][j];
  }
};

__device__ __forceinline__ int group_steps(const gemm_args& args) {
  return args.group_size == 32 ? 1 : args.group_size == 64 ? 2 : 4;
}

// Packed weights as fp16, columns in the order of a tiled matrix.
template <int kBits>
struct PackedHalves {
  static constexpr int kUnitSteps = 4;
  static constexpr bool kPacked = true;

  Codes<kBits> codes;
  Scales<kBits> scales;

  __device__ __forceinline__ void load(const gemm_args& args, const RowTile& tile, int column,
                                       int lane) {
    codes.load(args, tile, column, lane);
    scales.load(args, tile, column, lane);
  }

  // Of what does not come through shared memory.
  __device__ __forceinline__ void load_global(const gemm_args& args, const RowTile& tile,
                                              int column, int lane) {
    scales.load(args, tile, column, lane);
  }

  // Fragments of two products of depth 16.
  __device__ __forceinline__ void fragments(const gemm_args& args, int step, bool odd,
                                            uint32_t (&a)[8]) const {
    constexpr uint32_t k1024 = 0x64006400;  // its mantissa's low bits count units
    const int steps = group_steps(args);
    __half2 scale[2], zero[2];
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      scale[j] = __half2half2(scales.scale(steps, step, j));
      zero[j] = halves_of(scales.zero(args, steps, step, j) * 0x00010001u | k1024);
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
  static constexpr bool kPacked = false;

  uint2 words[4][2];

  __device__ __forceinline__ void load(const gemm_args& args, const RowTile& tile, int column,
                                       int lane) {
    const int64_t row = tile.block * NIBBLE_ROW_BLOCK + tile.row;
    const auto* weights = static_cast<const unsigned short*>(args.weight) +
                          (row + lane / 4) * args.weight_stride + column + lane % 4 * 4;
    if (args.weight_stride % 4 == 0 && row + kSubtileRows <= args.rows &&
        column + kUnitSteps * kStepColumns <= args.columns) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          words[i][j] = load_ahead(
              reinterpret_cast<const uint2*>(weights + 8 * j * args.weight_stride + 16 * i));
        }
      }
      return;
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const int left = row + lane / 4 + 8 * j < args.rows
                             ? args.columns - (column + 16 * i + lane % 4 * 4)
                             : 0;
        const auto* run = weights + 8 * j * args.weight_stride + 16 * i;
        uint32_t pairs[2] = {};
#pragma unroll
        for (int k = 0; k < 4; ++k) {
          if (k < left) pairs[k / 2] |= static_cast<uint32_t>(run[k]) << 16 * (k % 2);
        }
        words[i][j] = make_uint2(pairs[0], pairs[1]);
      }
    }
  }

  __device__ __forceinline__ void load_global(const gemm_args& args, const RowTile& tile,
                                              int column, int lane) {
    load(args, tile, column, lane);
  }

  __device__ __forceinline__ void fragments(const gemm_args& args, int step, bool,
                                            uint32_t (&a)[8]) const {
    // One, which the compiler does not know: a fragment has registers of its own, which products
    // under way may read when the next weights come into these.
    const __half2 one = halves_of(args.reserved == 0 ? 0x3c003c00 : 0);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        a[4 * i + j] = halves(words[2 * step + i][j].x, one);
        a[4 * i + j + 2] = halves(words[2 * step + i][j].y, one);
      }
    }
  }

 private:
  __device__ __forceinline__ static uint32_t halves(uint32_t pair, __half2 one) {
    if constexpr (!kBfloat) return bits_of(__hmul2(halves_of(pair), one));
    return bits_of(__floats2half2_rn(__uint_as_float(pair << 16),
                                     __uint_as_float(pair & 0xffff0000u)));
  }
};

}  // namespace nibble

#endif  // NIBBLE_GEMM_WEIGHTS_CUH
