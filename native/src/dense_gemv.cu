// See dense_gemv.h. A warp multiplies 16 rows (dense_tile.cuh) by its class of columns. Registers are few
// enough for two blocks on a multiprocessor, whose warps together keep enough bytes in flight. For many
// tokens and rows see dense_batch.cuh.
#include "dense_gemv.h"

#include "async_copy.cuh"
#include "dense_batch.cuh"
#include "dense_tile.cuh"
#include "epilogue.cuh"

namespace nibble {
namespace {

constexpr int kWarps = DENSE_GEMV_WARPS;
constexpr int kSpan = 128;                // columns in registers at a time
constexpr int kPieces = kSpan / 32;       // 16-byte pieces of a lane in a row's span

// The same of x, which the kernel before this one wrote.
__device__ __forceinline__ uint4 load_x(const dense_gemv_args& args, int token, int column) {
  const uint16_t* const row =
      static_cast<const uint16_t*>(args.x) + token * args.x_stride;
  if (token >= args.tokens) return make_uint4(0, 0, 0, 0);
  if (column + 8 <= args.columns) return load_fresh(reinterpret_cast<const uint4*>(row + column));
  uint32_t words[4] = {0, 0, 0, 0};
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    if (column + i < args.columns) {
      words[i / 2] |= static_cast<uint32_t>(load_fresh(row + column + i)) << (16 * (i % 2));
    }
  }
  return make_uint4(words[0], words[1], words[2], words[3]);
}

// Sum over the block, added up as row_norm's.
__device__ __forceinline__ float block_sum(float value, float* shared) {
#pragma unroll
  for (int offset = 16; offset > 0; offset >>= 1) {
    value += __shfl_xor_sync(0xffffffffu, value, offset);
  }
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  float sum = 0.0f;
#pragma unroll
  for (int warp = 0; warp < kWarps; ++warp) sum += shared[warp];
  __syncthreads();
  return sum;
}

// A token's x, normed, as fp16 in shared memory, with zeros up to `end`. The whole block calls this.
__device__ __forceinline__ void norm_row(const dense_gemv_args& args, int token, int end,
                                         __half* out, float* sums) {
  constexpr int threads = 32 * kWarps;
  constexpr int kept_count = 8;
  const float* const x = static_cast<const float*>(args.x) + token * args.x_stride;
  // Read twice past these.
  float kept[kept_count];
  float sum = 0.0f;
#pragma unroll
  for (int k = 0; k < kept_count; ++k) {
    const int i = threadIdx.x + k * threads;
    kept[k] = i < args.columns ? load_fresh(x + i) : 0.0f;
  }
#pragma unroll
  for (int k = 0; k < kept_count; ++k) sum = __fmaf_rn(kept[k], kept[k], sum);
  for (int i = threadIdx.x + kept_count * threads; i < args.columns; i += threads) {
    const float v = load_fresh(x + i);
    sum = __fmaf_rn(v, v, sum);
  }
  const float total = block_sum(sum, sums);
  const float scale = 1.0f / sqrtf(total / static_cast<float>(args.columns) + args.epsilon);
  const auto put = [&](int i, float v) {
    const float weight = i < args.columns ? args.norm_weight[i] : 0.0f;
    if (i < end) out[i] = __float2half_rn(__fmul_rn(__fmul_rn(v, scale), weight));
  };
#pragma unroll
  for (int k = 0; k < kept_count; ++k) put(threadIdx.x + k * threads, kept[k]);
  for (int i = threadIdx.x + kept_count * threads; i < end; i += threads) {
    put(i, i < args.columns ? load_fresh(x + i) : 0.0f);
  }
}

// A lane's pieces of one span of a tile.
struct Pieces {
  uint4 rows[2][kPieces];

  __device__ void load(const Tiles& tiles, OutputRow at, int column, bool whole, int lane) {
    const int last = tiles.args.segments[at.segment].rows - 1;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const uint16_t* const row =
          static_cast<const uint16_t*>(tiles.args.weights[at.segment]) +
          min(at.row + lane / 4 + 8 * h, last) * tiles.args.weight_stride;
#pragma unroll
      for (int p = 0; p < kPieces; ++p) {
        rows[h][p] =
            load_weights(row, column + 32 * p + lane % 4 * 8, tiles.args.columns, whole);
      }
    }
  }
};

template <class Type, int kTokens>
__device__ __forceinline__ void dense_gemv(const dense_gemv_args& args) {
  constexpr int token_tiles = kTokens / 8;
  constexpr bool shared_x = kTokens == 8;
  extern __shared__ __align__(16) uint8_t shared[];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const Tiles tiles(args);
  const int blocks = (args.columns + kBlockColumns - 1) / kBlockColumns;
  const int x_pitch = blocks * kBlockColumns + kPadding;
  const int classes = min(kWarps, blocks);
  const int batch = dense_gemv_batch(args.tokens);
  uint16_t* const x = reinterpret_cast<uint16_t*>(shared);
  float* const partials = reinterpret_cast<float*>(shared + (shared_x ? args.tokens * x_pitch * 2 : 0));
  const bool whole = aligned_weights(args);

  const int parts = 1 + tiles.pair;
  const int mine = (tiles.items - static_cast<int>(blockIdx.x) + static_cast<int>(gridDim.x) - 1) /
                   static_cast<int>(gridDim.x) * parts;
  const auto tile_at = [&](int tile) {
    return tiles.locate(static_cast<int>(blockIdx.x) +
                            tile / parts * static_cast<int>(gridDim.x),
                        tile % parts);
  };
  Pieces pieces;
  if (warp < classes) pieces.load(tiles, tile_at(0), warp * kBlockColumns, whole, lane);

  wait_for_previous_kernel();
  start_next_kernel();
  if (shared_x && args.norm_weight != nullptr) {
    for (int token = 0; token < args.tokens; ++token) {
      norm_row(args, token, blocks * kBlockColumns,
               reinterpret_cast<__half*>(x + token * x_pitch), partials);
    }
    __syncthreads();
  } else if (shared_x) {
    const int chunks = blocks * kBlockColumns / 8;
    for (int i = threadIdx.x; i < chunks * args.tokens; i += blockDim.x) {
      const int token = i / chunks, column = i % chunks * 8;
      *reinterpret_cast<uint4*>(x + token * x_pitch + column) = load_x(args, token, column);
    }
    __syncthreads();
  }

  for (int first = 0; first < mine; first += batch) {
    const int last = min(first + batch, mine);
    for (int tile = first; tile < last && warp < classes; ++tile) {
      const OutputRow at = tile_at(tile);
      float sums[token_tiles][4] = {};
#pragma unroll 1
      for (int block = warp; block < blocks; block += kWarps) {
#pragma unroll
        for (int span = 0; span < kBlockColumns; span += kSpan) {
          const int column = block * kBlockColumns + span;
          // The first span was loaded before the wait.
          if (tile > 0 || block > warp || span > 0) pieces.load(tiles, at, column, whole, lane);
#pragma unroll
          for (int p = 0; p < kPieces; ++p) {
            const uint4 low = pieces.rows[0][p], high = pieces.rows[1][p];
#pragma unroll
            for (int n = 0; n < token_tiles; ++n) {
              const int x_column = column + 32 * p + 8 * t;
              uint4 b = make_uint4(0, 0, 0, 0);
              if (!shared_x) {
                b = load_x(args, 8 * n + g, x_column);
              } else if (g < args.tokens) {
                b = *reinterpret_cast<const uint4*>(x + g * x_pitch + x_column);
              }
              multiply(sums[n], Type::halves(low.x), Type::halves(high.x), Type::halves(low.y),
                       Type::halves(high.y), b.x, b.y);
              multiply(sums[n], Type::halves(low.z), Type::halves(high.z), Type::halves(low.w),
                       Type::halves(high.w), b.z, b.w);
            }
          }
        }
      }
      float* const partial = partials + ((tile - first) * kWarps + warp) * kRows * args.tokens;
#pragma unroll
      for (int n = 0; n < token_tiles; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int token = 8 * n + 2 * t + i % 2, row = g + i / 2 * 8;
          if (token < args.tokens) partial[token * kRows + row] = sums[n][i];
        }
      }
    }
    __syncthreads();
    // Adds up the classes and hands each row to the epilogue.
    const int outputs = (last - first) / parts * args.tokens * kRows;
    for (int i = threadIdx.x; i < outputs; i += blockDim.x) {
      const int row = i % kRows, token = i / kRows % args.tokens;
      const int tile = i / kRows / args.tokens * parts;
      float values[2];
      for (int part = 0; part < parts; ++part) {
        const float* const partial =
            partials + ((tile + part) * kWarps * args.tokens + token) * kRows + row;
        float value = partial[0];
        for (int c = 1; c < classes; ++c) {
          value = __fadd_rn(value, partial[c * kRows * args.tokens]);
        }
        values[part] = value;
      }
      const OutputRow at = tile_at(first + tile);
      const gemv_segment& segment = args.segments[at.segment];
      if (at.row + row >= segment.rows) continue;
      if (tiles.pair) {
        store_half(segment, token, at.row + row,
                   swiglu(with_bias(segment, token, at.row + row, values[0]),
                          with_bias(args.segments[1], token, at.row + row, values[1])));
      } else {
        store(segment, args.epilogue, token, at.row + row, values[0]);
      }
    }
    __syncthreads();
  }
}

}  // namespace
}  // namespace nibble

#define NIBBLE_DENSE_GEMV(name, type, tokens)                                        \
  extern "C" __global__ void __launch_bounds__(32 * DENSE_GEMV_WARPS, tokens == 8 ? 2 : 1) \
      dense_gemv_##name##_m##tokens(const __grid_constant__ dense_gemv_args args) {  \
    nibble::dense_gemv<nibble::type, tokens>(args);                                  \
  }

#define NIBBLE_DENSE_BATCH(name, type)                                    \
  extern "C" __global__ void __launch_bounds__(32 * DENSE_BATCH_WARPS, 2) \
      dense_batch_##name(const __grid_constant__ dense_gemv_args args) {  \
    nibble::dense_batch<nibble::type>(args);                              \
  }

NIBBLE_DENSE_GEMV(f16, F16, 8)
NIBBLE_DENSE_GEMV(f16, F16, 16)
NIBBLE_DENSE_GEMV(f16, F16, 32)
NIBBLE_DENSE_GEMV(f16, F16, 64)
NIBBLE_DENSE_BATCH(f16, F16)
NIBBLE_DENSE_GEMV(bf16, Bf16, 8)
NIBBLE_DENSE_GEMV(bf16, Bf16, 16)
NIBBLE_DENSE_GEMV(bf16, Bf16, 32)
NIBBLE_DENSE_GEMV(bf16, Bf16, 64)
NIBBLE_DENSE_BATCH(bf16, Bf16)
