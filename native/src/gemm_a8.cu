// See gemm.h. The codes of the weights are the left operand, unpacked in registers while a product
// is under way. Per channel they stay unsigned, one integer sum runs over all columns, and the
// zeros are taken off by the tokens' sums. In groups the zero is taken off each code, and an
// integer sum of a group is added, scaled, to a float. Where there are int4 tensor cores, weights and
// activations of 4 bits go to them as they are.
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
__device__ __forceinline__ uint32_t less_zero(uint32_t codes, uint32_t zero) {
  if constexpr (kBits == 8) return codes ^ kTopBits;
  return ((codes | kTopBits) - zero * 0x01010101u) ^ kTopBits;
}

template <int kBits, int kGroups>
__device__ __forceinline__ void signed_fragment(const gemm_args& args, const Codes<kBits>& codes,
                                                const Scales<kBits, kGroups>& scales,
                                                int group_steps, int step, bool odd,
                                                uint32_t (&a)[4]) {
  const uint32_t zeros[2] = {scales.zero(args, group_steps, step, 0),
                        scales.zero(args, group_steps, step, 1)};
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
  constexpr int kBatch = 2;  // steps whose products are under way while the next are unpacked
  using Weights = WeightRing<kBits>;
  const int tiles_deep = k_tiles(args);
  run_ring<kTokens, Weights>(args, tiles_deep, [&](Ring<kTokens>& ring, Weights& weights) {
    const int lane = threadIdx.x % 32;
    const int warp = threadIdx.x / 32 - kGroupThreads / 32;
    const bool odd = warp % 2 == 1;
    Tiles<kTokens> tiles(args);
    Tile tile;
    while (tiles.take(tile)) {
      const int row = tile.row + warp * kSubtileRows;
      int32_t sums[kTokens / 2] = {};
      uint32_t a[kTileSteps][4];
      int read = -1;
      for (int k = 0; k < tiles_deep; ++k) {
        Codes<kBits> codes;
        weights.take(codes, warp, lane);
        uint64_t tokens;
#pragma unroll
        for (int b = 0; b < kTileSteps; b += kBatch) {
#pragma unroll
          for (int s = b; s < b + kBatch; ++s) channel_fragment(codes, s, odd, a[s]);
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

// The stages of a tile in groups of kSteps steps. While a group's products run, the next group's
// fragments are made, and one half of the tokens' sums is added to the floats.
template <int kBits, int kTokens, int kSteps>
__device__ __forceinline__ void sum_groups(const gemm_args& args, Ring<kTokens>& ring,
                                           WeightRing<kBits>& weights, int row, int warp, int lane,
                                           float (&sums)[2][kTokens / 4]) {
  constexpr int kGroups = kTileSteps / kSteps;
  constexpr int kHalfOffset = kTokens / 2 * GEMM_TILE_ROW_BYTES / 16;
  const int tiles_deep = k_tiles(args);
  const bool odd = warp % 2 == 1;
  uint32_t a[kSteps][4], next[kSteps][4];
  Codes<kBits> codes;
  Scales<kBits, kGroups> scales, next_scales;
  const RowTile rows(args, row);
  scales.load(args, rows, 0, lane);
  next_scales.load(args, rows, min(1, tiles_deep - 1) * kTileColumns, lane);
  weights.take(codes, warp, lane);
#pragma unroll
  for (int s = 0; s < kSteps; ++s) signed_fragment(args, codes, scales, kSteps, s, odd, a[s]);
  for (int k = 0; k < tiles_deep; ++k) {
    const uint64_t tokens = ring.wait();
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
      int32_t group[2][kTokens / 4];
#pragma unroll
      for (int s = 0; s < kSteps; ++s) hold(a[s]);
      wgmma_fence();
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int s = 0; s < kSteps; ++s) {
          multiply_signed(group[half], a[s], tokens + 2 * (g * kSteps + s) + half * kHalfOffset,
                          s > 0);
        }
        wgmma_commit();
      }
      const __half scale[2] = {scales.scale(kSteps, g * kSteps, 0),
                               scales.scale(kSteps, g * kSteps, 1)};
      if (g + 1 == kGroups) {
        if (k + 1 < tiles_deep) weights.take(codes, warp, lane);
        scales = next_scales;
        next_scales.load(args, rows, min(k + 2, tiles_deep - 1) * kTileColumns, lane);
      }
#pragma unroll
      for (int s = 0; s < kSteps; ++s) {
        signed_fragment(args, codes, scales, kSteps, (g + 1) % kGroups * kSteps + s, odd, next[s]);
      }
      wgmma_wait<1>();
      hold(group[0]);
      add_group(sums[0], group[0], scale[0], scale[1]);
      wgmma_wait<0>();
      hold(group[1]);
      add_group(sums[1], group[1], scale[0], scale[1]);
#pragma unroll
      for (int s = 0; s < kSteps; ++s) {
#pragma unroll
        for (int j = 0; j < 4; ++j) a[s][j] = next[s][j];
      }
    }
    ring.release(ring.stage);
    ring.advance();
  }
}

template <int kBits, int kTokens>
__device__ __forceinline__ void gemm_groups(const gemm_args& args) {
  using Weights = WeightRing<kBits>;
  const int tiles_deep = k_tiles(args);
  run_ring<kTokens, Weights>(args, tiles_deep, [&](Ring<kTokens>& ring, Weights& weights) {
    const int lane = threadIdx.x % 32;
    const int warp = threadIdx.x / 32 - kGroupThreads / 32;
    Tiles<kTokens> tiles(args);
    Tile tile;
    while (tiles.take(tile)) {
      const int row = tile.row + warp * kSubtileRows;
      float sums[2][kTokens / 4] = {};
      if (args.group_size == 128) {
        sum_groups<kBits, kTokens, 4>(args, ring, weights, row, warp, lane, sums);
      } else if (args.group_size == 64) {
        sum_groups<kBits, kTokens, 2>(args, ring, weights, row, warp, lane, sums);
      } else {
        sum_groups<kBits, kTokens, 1>(args, ring, weights, row, warp, lane, sums);
      }
      store_tile<kTokens / 2>(
          args, [&](int i) { return sums[i / (kTokens / 4)][i % (kTokens / 4)]; },
          row, tile.token, lane);
    }
  });
}

#define GEMM_BOUNDS __cluster_dims__(2, 1, 1) __launch_bounds__(GEMM_SM90_THREADS, 1)

#else

// What a stage of tokens covers of a warp's weights, a byte for each code.
template <int kBitsOfCode, bool kInGroups>
struct ByteWeights {
  static constexpr int kBits = kBitsOfCode;
  static constexpr int kUnits = 1;  // loads of weights, of kUnitColumns each
  static constexpr bool kGroups = kInGroups;

  Codes<kBits> codes[kWarpSubtiles];
  Scales<kBits> scales[kWarpSubtiles];

  __device__ __forceinline__ void load(const gemm_args& args, int i, int first_row, int k,
                                       int lane) {
    const RowTile rows(args, first_row);
    codes[i].load(args, rows, k * kTileColumns, lane);
    if (kGroups) scales[i].load(args, rows, k * kTileColumns, lane);
  }

  // A lane's fragments of a step.
  __device__ __forceinline__ void fragment(const gemm_args& args, int group_steps, int i, int step,
                                           uint32_t (&a)[4]) const {
    if constexpr (kGroups) {
      signed_fragment(args, codes[i], scales[i], group_steps, step, i == 1, a);
    } else {
      channel_fragment(codes[i], step, i == 1, a);
    }
  }

  __device__ __forceinline__ static void add_product(int32_t (&d)[4], const uint32_t* a,
                                                     const uint32_t* b) {
    if constexpr (kGroups || kCodeShift<kBits> != 0) {
      multiply(d, a, b);
    } else {
      multiply_unsigned(d, a, b);
    }
  }
};

// The same of two codes to a byte: the words of the weights are fragments as they stand, since a
// register holds the same columns of the weights and of the tokens.
struct FourBitWeights {
  static constexpr int kBits = 4;
  static constexpr int kUnits = 2;
  static constexpr bool kGroups = false;

  Codes<kBits> codes[kWarpSubtiles][kUnits];

  __device__ __forceinline__ void load(const gemm_args& args, int i, int first_row, int k,
                                       int lane) {
    const int columns = static_cast<int>(nibble_padded_columns(args.columns));
    const RowTile rows(args, first_row);
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      // Past the last columns the tokens are zeros.
      const int column = min((k * kUnits + u) * kUnitColumns, columns - kUnitColumns);
      codes[i][u].load(args, rows, column, lane);
    }
  }

  __device__ __forceinline__ void fragment(const gemm_args&, int, int i, int step,
                                           uint32_t (&a)[4]) const {
#pragma unroll
    for (int j = 0; j < 4; ++j) a[j] = codes[i][step / kUnits].words[step % kUnits][j];
  }

  __device__ __forceinline__ static void add_product(int32_t (&d)[4], const uint32_t* a,
                                                     const uint32_t* b) {
    multiply_fours(d, a, b);
  }
};

template <class Weights, int kTokens>
__device__ __forceinline__ void gemm(const gemm_args& args) {
  static_assert(kTokens == kStreamTokens, "the only tile of this path");
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const int warp_token = warp % 2 * kWarpTokens;
  const int tiles_deep = (k_tiles(args) + Weights::kUnits - 1) / Weights::kUnits;
  const int token_tiles = (args.tokens + kTokens - 1) / kTokens;
  const int tiles = token_tiles * ((args.rows + GEMM_ROWS - 1) / GEMM_ROWS);
  const int steps = group_steps(args);
  for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const int first_token = tile % token_tiles * kTokens;
    const int first_row =
        tile / token_tiles * GEMM_ROWS + warp / 2 * kWarpSubtiles * kSubtileRows;
    float values[kWarpSubtiles][4 * kWarpBlocks] = {};
    int32_t sums[kWarpSubtiles][4 * kWarpBlocks] = {};
    Stream stream;
    stream.start(args, first_token, tiles_deep);
    for (int k = 0; k < tiles_deep; ++k) {
      Weights weights;
#pragma unroll
      for (int i = 0; i < kWarpSubtiles; ++i) {
        weights.load(args, i, first_row + i * kSubtileRows, k, lane);
      }
      const uint32_t stage = stream.take(k);
#pragma unroll
      for (int s = 0; s < kTileSteps; ++s) {
        uint32_t a[kWarpSubtiles][4];
#pragma unroll
        for (int i = 0; i < kWarpSubtiles; ++i) weights.fragment(args, steps, i, s, a[i]);
#pragma unroll
        for (int t = 0; t < kWarpBlocks; t += 2) {
          uint32_t b[4];
          Stream::fragments(stage, warp_token + 8 * t, s, lane, b);
#pragma unroll
          for (int i = 0; i < kWarpSubtiles; ++i) {
#pragma unroll
            for (int h = 0; h < 2; ++h) {
              auto& d = *reinterpret_cast<int32_t(*)[4]>(&sums[i][4 * (t + h)]);
              Weights::add_product(d, a[i], b + 2 * h);
            }
          }
        }
        if constexpr (Weights::kGroups) {
          if ((s + 1) % steps == 0) {
#pragma unroll
            for (int i = 0; i < kWarpSubtiles; ++i) {
              add_group(values[i], sums[i], weights.scales[i].scale(steps, s, 0),
                        weights.scales[i].scale(steps, s, 1));
#pragma unroll
              for (int32_t& sum : sums[i]) sum = 0;
            }
          }
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kWarpSubtiles; ++i) {
      const int row = first_row + i * kSubtileRows;
      const int token = first_token + warp_token;
      if constexpr (Weights::kGroups) {
        store_tile<4 * kWarpBlocks>(args, [&](int j) { return values[i][j]; }, row, token, lane);
      } else {
        const ChannelScales<Weights::kBits> scaled(args, row, token, lane);
        store_tile<4 * kWarpBlocks>(args, [&](int j) { return scaled(j, sums[i][j]); }, row, token,
                                    lane);
      }
    }
  }
}

template <int kBits, int kTokens>
__device__ __forceinline__ void gemm_channels(const gemm_args& args) {
  gemm<ByteWeights<kBits, false>, kTokens>(args);
}

template <int kBits, int kTokens>
__device__ __forceinline__ void gemm_groups(const gemm_args& args) {
  gemm<ByteWeights<kBits, true>, kTokens>(args);
}

template <int kBits, int kTokens>
__device__ __forceinline__ void gemm_fours(const gemm_args& args) {
  static_assert(kBits == FourBitWeights::kBits, "what int4 tensor cores take");
  gemm<FourBitWeights, kTokens>(args);
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
#ifndef __CUDA_ARCH_FEAT_SM90_ALL
GEMM_KERNEL(gemm_w4a4, 128, gemm_fours, 4)
#endif
