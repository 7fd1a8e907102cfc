// See gemm.h. The codes of the weights are the left operand, unpacked in registers while a product is
// under way. Per channel they stay unsigned, one integer sum runs over all columns, and the zeros are
// taken off by the tokens' sums. In groups the zero is taken off each code, and an integer sum of a
// group is added, scaled, to a float.
#include "gemm_output.cuh"
#include "gemm_weights.cuh"

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#include "gemm_ring.cuh"
#else
#include "gemm_stream.cuh"
#endif

namespace {

using namespace nibble;

constexpr int kTileColumns = GEMM_TILE_ROW_BYTES;
constexpr int kTileSteps = kTileColumns / kStepColumns;
static_assert(kTileColumns == kUnitColumns, "a stage is what a load of weights covers");

__device__ __forceinline__ int k_tiles(const gemm_args& args) {
  return static_cast<int>(nibble_padded_columns(args.columns)) / kTileColumns;
}

constexpr uint32_t kTopBits = 0x80808080;

// Codes of 8 bits become signed, 128 less: a fragment has registers of its own, which the loads of
// the next do not touch.
template <int kBits>
constexpr int kCodeShift = kBits == 8 ? 128 : 0;

// Turns integer sums over all columns into what store_tile takes.
template <int kBits>
class ChannelScales {
 public:
  __device__ __forceinline__ ChannelScales(const gemm_args& args, int first_row, int first_token,
                                           int lane)
      : args_(args), token_(first_token + lane % 4 * 2) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int row = first_row + lane / 4 + 8 * j;
      scales_[j] = 0.0f;
      zeros_[j] = (1 << (kBits - 1)) - kCodeShift<kBits>;
      if (row < args.rows) {
        scales_[j] = __half2float(static_cast<const __half*>(args.scales)[row]);
        if (args.zeros != nullptr) zeros_[j] = args.zeros[row] - kCodeShift<kBits>;
      }
    }
  }

  // Of the i-th of a lane's sums.
  __device__ __forceinline__ float operator()(int i, int32_t sum) const {
    const int token = token_ + i / 4 * 8 + i % 2;
    const int32_t codes = token < args_.tokens ? args_.token_sums[token] : 0;
    return scales_[i / 2 % 2] * static_cast<float>(sum - zeros_[i / 2 % 2] * codes);
  }

 private:
  const gemm_args& args_;
  int token_;
  float scales_[2];
  int32_t zeros_[2];
};

template <int kBits>
__device__ __forceinline__ void channel_fragment(const Codes<kBits>& codes, int step, bool odd,
                                                 uint32_t (&a)[4]) {
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    a[j] = codes.bytes(step, j, odd);
    if (kCodeShift<kBits> != 0) a[j] ^= kTopBits;
  }
}

// Four codes as signed bytes, less their zero. W8 has groups only with the zero 128.
template <int kBits>
__device__ __forceinline__ uint32_t less_zero(uint32_t codes, int zero) {
  if constexpr (kBits == 8) return codes ^ kTopBits;
  return ((codes | kTopBits) - static_cast<uint32_t>(zero) * 0x01010101u) ^ kTopBits;
}

template <int kBits>
__device__ __forceinline__ void signed_fragment(const gemm_args& args, const Codes<kBits>& codes,
                                                const Scales<kBits>& scales, int step, bool odd,
                                                uint32_t (&a)[4]) {
  const int zeros[2] = {scales.zero(args, step, 0), scales.zero(args, step, 1)};
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    a[j] = less_zero<kBits>(codes.bytes(step, j, odd), zeros[j % 2]);
  }
}

template <int kCount>
__device__ __forceinline__ void add_group(float (&sums)[kCount], const int32_t (&group)[kCount],
                                          __half first, __half second) {
  const float scale[2] = {__half2float(first), __half2float(second)};
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    sums[i] = fmaf(scale[i / 2 % 2], static_cast<float>(group[i]), sums[i]);
  }
}

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

template <int kBits, int kTokens>
__device__ __forceinline__ void gemm_channels(const gemm_args& args) {
  constexpr int kBatch = 2;  // steps of a group of products
  const int tiles_deep = k_tiles(args);
  run_ring<kTokens>(args, tiles_deep, [&](Ring<kTokens>& ring) {
    const int lane = threadIdx.x % 32;
    const int warp = threadIdx.x / 32 - kGroupThreads / 32;
    Tiles<kTokens> tiles(args);
    Tile tile;
    while (tiles.take(tile)) {
      const int row = tile.row + warp * kSubtileRows;
      const RowTile weight_rows(args, row);
      int32_t sums[kTokens / 2] = {};
      uint32_t a[kTileSteps][4];
      int read = -1;
      Codes<kBits> codes;
      codes.load(args, weight_rows, 0, lane);
      for (int k = 0; k < tiles_deep; ++k) {
        Codes<kBits> next;
        next.load(args, weight_rows, min(k + 1, tiles_deep - 1) * kTileColumns, lane);
        uint64_t tokens;
#pragma unroll
        for (int b = 0; b < kTileSteps; b += kBatch) {
#pragma unroll
          for (int s = b; s < b + kBatch; ++s) channel_fragment(codes, s, weight_rows.odd(), a[s]);
          if (b == 0) tokens = ring.wait();
#pragma unroll
          for (int s = b; s < b + kBatch; ++s) hold(a[s]);
          wgmma_fence();
#pragma unroll
          for (int s = b; s < b + kBatch; ++s) {
            if constexpr (kCodeShift<kBits> == 0) {
              multiply_unsigned(sums, a[s], tokens + 2 * s);
            } else {
              multiply_signed(sums, a[s], tokens + 2 * s);
            }
          }
          wgmma_commit();
          wgmma_wait<1>();
          if (b == 0 && read >= 0) ring.release(read);
        }
        read = ring.stage;
        ring.advance();
        codes = next;
      }
      wgmma_wait<0>();
      hold(sums);
      ring.release(read);
      const ChannelScales<kBits> scaled(args, row, tile.token, lane);
      store_tile<kTokens / 2>(args, [&](int i) { return scaled(i, sums[i]); }, row, tile.token,
                              lane);
    }
  });
}

// The stages of a tile, groups of kSteps steps.
template <int kBits, int kTokens, int kSteps>
__device__ __forceinline__ void sum_groups(const gemm_args& args, Ring<kTokens>& ring,
                                           const RowTile& weight_rows, int lane,
                                           float (&sums)[kTokens / 2]) {
  const bool odd = weight_rows.odd();
  const int tiles_deep = k_tiles(args);
  int32_t group[kTokens / 2];
  uint32_t a[2][kSteps][4];
  Codes<kBits> codes;
  Scales<kBits> scales;
  codes.load(args, weight_rows, 0, lane);
  scales.load(args, weight_rows, 0, lane);
#pragma unroll
  for (int s = 0; s < kSteps; ++s) signed_fragment(args, codes, scales, s, odd, a[0][s]);
  for (int k = 0; k < tiles_deep; ++k) {
    Codes<kBits> next_codes;
    Scales<kBits> next_scales;
    const int ahead = min(k + 1, tiles_deep - 1) * kTileColumns;
    next_codes.load(args, weight_rows, ahead, lane);
    next_scales.load(args, weight_rows, ahead, lane);
    const uint64_t tokens = ring.wait();
#pragma unroll
    for (int first = 0; first < kTileSteps; first += kSteps) {
#pragma unroll
      for (int s = 0; s < kSteps; ++s) hold(a[0][s]);
      wgmma_fence();
#pragma unroll
      for (int s = 0; s < kSteps; ++s) {
        multiply_signed(group, a[0][s], tokens + 2 * (first + s), s > 0);
      }
      wgmma_commit();
      // The next group's fragments, while the products run.
#pragma unroll
      for (int s = 0; s < kSteps; ++s) {
        if (first + kSteps < kTileSteps) {
          signed_fragment(args, codes, scales, first + kSteps + s, odd, a[1][s]);
        } else {
          signed_fragment(args, next_codes, next_scales, s, odd, a[1][s]);
        }
      }
      wgmma_wait<0>();
      hold(group);
      add_group(sums, group, scales.scale(args, first, 0), scales.scale(args, first, 1));
#pragma unroll
      for (int s = 0; s < kSteps; ++s) {
#pragma unroll
        for (int j = 0; j < 4; ++j) a[0][s][j] = a[1][s][j];
      }
    }
    ring.release(ring.stage);
    ring.advance();
    codes = next_codes;
    scales = next_scales;
  }
}

template <int kBits, int kTokens>
__device__ __forceinline__ void gemm_groups(const gemm_args& args) {
  run_ring<kTokens>(args, k_tiles(args), [&](Ring<kTokens>& ring) {
    const int lane = threadIdx.x % 32;
    const int warp = threadIdx.x / 32 - kGroupThreads / 32;
    Tiles<kTokens> tiles(args);
    Tile tile;
    while (tiles.take(tile)) {
      const int row = tile.row + warp * kSubtileRows;
      const RowTile weight_rows(args, row);
      float sums[kTokens / 2] = {};
      if (args.group_size == 128) {
        sum_groups<kBits, kTokens, 4>(args, ring, weight_rows, lane, sums);
      } else if (args.group_size == 64) {
        sum_groups<kBits, kTokens, 2>(args, ring, weight_rows, lane, sums);
      } else {
        sum_groups<kBits, kTokens, 1>(args, ring, weight_rows, lane, sums);
      }
      store_tile<kTokens / 2>(args, [&](int i) { return sums[i]; }, row, tile.token, lane);
    }
  });
}

#define GEMM_BOUNDS __cluster_dims__(2, 1, 1) __launch_bounds__(GEMM_SM90_THREADS, 1)

#else

// A lane's fragments of a step.
template <int kBits, bool kGroups>
__device__ __forceinline__ void fragment(const gemm_args& args, const Codes<kBits>& codes,
                                         const Scales<kBits>& scales, int step, bool odd,
                                         uint32_t (&a)[4]) {
  if constexpr (kGroups) {
    signed_fragment(args, codes, scales, step, odd, a);
  } else {
    channel_fragment(codes, step, odd, a);
  }
}

template <int kBits, int kTokens, bool kGroups>
__device__ __forceinline__ void gemm(const gemm_args& args) {
  static_assert(kTokens == kStreamTokens, "the only tile of this path");
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const int warp_token = warp % 2 * kWarpTokens;
  const int tiles_deep = k_tiles(args);
  const int token_tiles = (args.tokens + kTokens - 1) / kTokens;
  const int tiles = token_tiles * ((args.rows + GEMM_ROWS - 1) / GEMM_ROWS);
  const int group_steps = kGroups ? args.group_size / kStepColumns : kTileSteps;
  for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const int first_token = tile % token_tiles * kTokens;
    const int first_row =
        tile / token_tiles * GEMM_ROWS + warp / 2 * kWarpSubtiles * kSubtileRows;
    float values[kWarpSubtiles][4 * kWarpBlocks] = {};
    int32_t sums[kWarpSubtiles][4 * kWarpBlocks] = {};
    Stream stream;
    stream.start(args, first_token, tiles_deep);
    for (int k = 0; k < tiles_deep; ++k) {
      Codes<kBits> codes[kWarpSubtiles];
      Scales<kBits> scales[kWarpSubtiles];
#pragma unroll
      for (int i = 0; i < kWarpSubtiles; ++i) {
        const RowTile rows(args, first_row + i * kSubtileRows);
        codes[i].load(args, rows, k * kTileColumns, lane);
        if (kGroups) scales[i].load(args, rows, k * kTileColumns, lane);
      }
      const uint32_t stage = stream.take(k);
#pragma unroll
      for (int s = 0; s < kTileSteps; ++s) {
        uint32_t a[kWarpSubtiles][4];
#pragma unroll
        for (int i = 0; i < kWarpSubtiles; ++i) {
          fragment<kBits, kGroups>(args, codes[i], scales[i], s, i == 1, a[i]);
        }
#pragma unroll
        for (int t = 0; t < kWarpBlocks; t += 2) {
          uint32_t b[4];
          Stream::fragments(stage, warp_token + 8 * t, s, lane, b);
#pragma unroll
          for (int i = 0; i < kWarpSubtiles; ++i) {
#pragma unroll
            for (int h = 0; h < 2; ++h) {
              auto& d = *reinterpret_cast<int32_t(*)[4]>(&sums[i][4 * (t + h)]);
              if constexpr (kGroups || kCodeShift<kBits> != 0) {
                multiply(d, a[i], b + 2 * h);
              } else {
                multiply_unsigned(d, a[i], b + 2 * h);
              }
            }
          }
        }
        if (kGroups && (s + 1) % group_steps == 0) {
#pragma unroll
          for (int i = 0; i < kWarpSubtiles; ++i) {
            add_group(values[i], sums[i], scales[i].scale(args, s, 0), scales[i].scale(args, s, 1));
#pragma unroll
            for (int32_t& sum : sums[i]) sum = 0;
          }
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kWarpSubtiles; ++i) {
      const int row = first_row + i * kSubtileRows;
      const int token = first_token + warp_token;
      if constexpr (kGroups) {
        store_tile<4 * kWarpBlocks>(args, [&](int j) { return values[i][j]; }, row, token, lane);
      } else {
        const ChannelScales<kBits> scaled(args, row, token, lane);
        store_tile<4 * kWarpBlocks>(args, [&](int j) { return scaled(j, sums[i][j]); }, row, token,
                                    lane);
      }
    }
  }
}

template <int kBits, int kTokens>
__device__ __forceinline__ void gemm_channels(const gemm_args& args) {
  gemm<kBits, kTokens, false>(args);
}

template <int kBits, int kTokens>
__device__ __forceinline__ void gemm_groups(const gemm_args& args) {
  gemm<kBits, kTokens, true>(args);
}

#define GEMM_BOUNDS __launch_bounds__(GEMM_THREADS)

#endif

}  // namespace

#define GEMM_KERNEL(NAME, TOKENS, KIND, BITS)              \
  extern "C" __global__ void GEMM_BOUNDS NAME##_##TOKENS(  \
      const __grid_constant__ gemm_args args) {            \
    KIND<BITS, TOKENS>(args);                              \
  }

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define GEMM_KERNELS(BITS)                                    \
  GEMM_KERNEL(gemm_w##BITS##a8, 64, gemm_channels, BITS)      \
  GEMM_KERNEL(gemm_w##BITS##a8, 128, gemm_channels, BITS)     \
  GEMM_KERNEL(gemm_w##BITS##a8, 256, gemm_channels, BITS)     \
  GEMM_KERNEL(gemm_w##BITS##a8_groups, 64, gemm_groups, BITS) \
  GEMM_KERNEL(gemm_w##BITS##a8_groups, 128, gemm_groups, BITS)
#else
#define GEMM_KERNELS(BITS)                                \
  GEMM_KERNEL(gemm_w##BITS##a8, 128, gemm_channels, BITS) \
  GEMM_KERNEL(gemm_w##BITS##a8_groups, 128, gemm_groups, BITS)
#endif

GEMM_KERNELS(2)
GEMM_KERNELS(3)
GEMM_KERNELS(4)
GEMM_KERNELS(6)
GEMM_KERNELS(8)
