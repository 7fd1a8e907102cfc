// See gemm.h. The weights are the left operand, made fp16 in registers a step of 32 columns ahead
// of the product that is under way; the tokens come through shared memory.
#include "gemm_output.cuh"
#include "gemm_weights.cuh"

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#include "gemm_ring.cuh"
#else
#include "gemm_stream.cuh"
#endif

namespace {

using namespace nibble;

constexpr int kTileColumns = GEMM_TILE_ROW_BYTES / 2;
constexpr int kTileSteps = kTileColumns / kStepColumns;

__device__ __forceinline__ int k_tiles(const gemm_args& args) {
  return static_cast<int>(nibble_padded_columns(args.columns)) / kTileColumns;
}

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

// Where packed weights come from: shared memory.
template <class Weights>
struct Source {
  using Ring = NoWeightRing;
};

template <int kBits>
struct Source<PackedHalves<kBits>> {
  using Ring = WeightRing<kBits>;
};

template <class Weights, int kTokens>
__device__ __forceinline__ void gemm(const gemm_args& args) {
  constexpr int kUnitTiles = Weights::kUnitSteps / kTileSteps;
  // Steps whose products are under way while the next steps' fragments are made.
  constexpr int kBatch = kTokens == 256 || !Weights::kPacked ? 1 : kTileSteps;
  using WeightRing = typename Source<Weights>::Ring;
  const int tiles_deep = k_tiles(args);
  run_ring<kTokens, WeightRing>(args, tiles_deep, [&](Ring<kTokens>& ring, WeightRing& source) {
    const int lane = threadIdx.x % 32;
    const int warp = threadIdx.x / 32 - kGroupThreads / 32;
    Tiles<kTokens> tiles(args);
    Tile tile;
    while (tiles.take(tile)) {
      const int row = tile.row + warp * kSubtileRows;
      const RowTile weight_rows(args, row);
      float sums[kTokens / 2] = {};
      uint32_t a[2][kBatch][8];
      int read = -1;
      Weights weights, next;
      next.load_global(args, weight_rows, 0, lane);
      for (int k = 0; k < tiles_deep; k += kUnitTiles) {
        weights = next;
        if constexpr (Weights::kPacked) source.take(weights.codes, warp, lane);
        next.load_global(args, weight_rows,
                         min(k + kUnitTiles, tiles_deep - kUnitTiles) * kTileColumns, lane);
        uint64_t tokens;
#pragma unroll
        for (int step = 0; step < Weights::kUnitSteps; step += kBatch) {
          auto& fragments = a[step / kBatch % 2];
#pragma unroll
          for (int s = 0; s < kBatch; ++s) {
            weights.fragments(args, step + s, weight_rows.odd(), fragments[s]);
          }
          const bool first = step % kTileSteps == 0;
          if (first) tokens = ring.wait();
#pragma unroll
          for (int s = 0; s < kBatch; ++s) hold(fragments[s]);
          wgmma_fence();
#pragma unroll
          for (int s = 0; s < kBatch; ++s) {
            const int depth = (step + s) % kTileSteps * 4;
            multiply_halves(sums, fragments[s], tokens + depth);
            multiply_halves(sums, fragments[s] + 4, tokens + depth + 2);
          }
          wgmma_commit();
          wgmma_wait<1>();
          if (first && read >= 0) ring.release(read);
          if (step % kTileSteps + kBatch == kTileSteps) {
            read = ring.stage;
            ring.advance();
          }
        }
      }
      wgmma_wait<0>();
      hold(sums);
      ring.release(read);
      store_tile<kTokens / 2>(args, [&](int i) { return sums[i]; }, row, tile.token, lane);
    }
  });
}

#define GEMM_BOUNDS __cluster_dims__(2, 1, 1) __launch_bounds__(GEMM_SM90_THREADS, 1)

#else

template <class Weights, int kTokens>
__device__ __forceinline__ void gemm(const gemm_args& args) {
  static_assert(kTokens == kStreamTokens, "the only tile of this path");
  constexpr int kUnitTiles = Weights::kUnitSteps / kTileSteps;
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const int warp_row = warp / 2 * kWarpSubtiles * kSubtileRows;
  const int warp_token = warp % 2 * kWarpTokens;
  const int tiles_deep = k_tiles(args);
  const int token_tiles = (args.tokens + kTokens - 1) / kTokens;
  const int tiles = token_tiles * ((args.rows + GEMM_ROWS - 1) / GEMM_ROWS);
  for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const int first_token = tile % token_tiles * kTokens;
    const int first_row = tile / token_tiles * GEMM_ROWS + warp_row;
    const RowTile weight_rows[kWarpSubtiles] = {{args, first_row},
                                                {args, first_row + kSubtileRows}};
    Weights weights[kWarpSubtiles], next[kWarpSubtiles];
    float sums[kWarpSubtiles][4 * kWarpBlocks] = {};
    Stream stream;
    stream.start(args, first_token, tiles_deep);
#pragma unroll
    for (int i = 0; i < kWarpSubtiles; ++i) {
      weights[i].load(args, weight_rows[i], 0, lane);
    }
    for (int k = 0; k < tiles_deep; k += kUnitTiles) {
      const int ahead = min(k + kUnitTiles, tiles_deep - kUnitTiles) * kTileColumns;
#pragma unroll
      for (int i = 0; i < kWarpSubtiles; ++i) next[i].load(args, weight_rows[i], ahead, lane);
#pragma unroll
      for (int u = 0; u < kUnitTiles; ++u) {
        const uint32_t stage = stream.take(k + u);
#pragma unroll
        for (int s = 0; s < kTileSteps; ++s) {
          uint32_t a[kWarpSubtiles][8];
#pragma unroll
          for (int i = 0; i < kWarpSubtiles; ++i) {
            weights[i].fragments(args, u * kTileSteps + s, i == 1, a[i]);
          }
#pragma unroll
          for (int h = 0; h < 2; ++h) {
#pragma unroll
            for (int t = 0; t < kWarpBlocks; t += 2) {
              uint32_t b[4];
              Stream::fragments(stage, warp_token + 8 * t, 2 * s + h, lane, b);
#pragma unroll
              for (int i = 0; i < kWarpSubtiles; ++i) {
                multiply(*reinterpret_cast<float(*)[4]>(&sums[i][4 * t]), a[i] + 4 * h, b);
                multiply(*reinterpret_cast<float(*)[4]>(&sums[i][4 * t + 4]), a[i] + 4 * h, b + 2);
              }
            }
          }
        }
      }
#pragma unroll
      for (int i = 0; i < kWarpSubtiles; ++i) weights[i] = next[i];
    }
#pragma unroll
    for (int i = 0; i < kWarpSubtiles; ++i) {
      store_tile<4 * kWarpBlocks>(args, [&](int j) { return sums[i][j]; },
                                  first_row + i * kSubtileRows, first_token + warp_token, lane);
    }
  }
}

#define GEMM_BOUNDS __launch_bounds__(GEMM_THREADS)

#endif

}  // namespace

#define GEMM_KERNEL(NAME, WEIGHTS, TOKENS)                 \
  extern "C" __global__ void GEMM_BOUNDS NAME##_##TOKENS(  \
      const __grid_constant__ gemm_args args) {            \
    gemm<WEIGHTS, TOKENS>(args);                           \
  }

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define GEMM_KERNELS(NAME, ...)        \
  GEMM_KERNEL(NAME, __VA_ARGS__, 64)   \
  GEMM_KERNEL(NAME, __VA_ARGS__, 128)  \
  GEMM_KERNEL(NAME, __VA_ARGS__, 256)
#else
#define GEMM_KERNELS(NAME, ...) GEMM_KERNEL(NAME, __VA_ARGS__, 128)
#endif

GEMM_KERNELS(gemm_w2a16, PackedHalves<2>)
GEMM_KERNELS(gemm_w3a16, PackedHalves<3>)
GEMM_KERNELS(gemm_w4a16, PackedHalves<4>)
GEMM_KERNELS(gemm_w6a16, PackedHalves<6>)
GEMM_KERNELS(gemm_w8a16, PackedHalves<8>)
GEMM_KERNELS(gemm_f16, DenseHalves<false>)
GEMM_KERNELS(gemm_bf16, DenseHalves<true>)
