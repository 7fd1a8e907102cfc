// What a product of gemv.h is made of, in a warp: the input as operand B, and a tile's rows by a block
// of 512 columns.
#ifndef NIBBLE_GEMV_SUM_CUH
#define NIBBLE_GEMV_SUM_CUH

#include <cuda_fp16.h>

#include <cstdint>

#include "async_copy.cuh"
#include "gemv.h"
#include "packed_tile.cuh"
#include "shared_loads.cuh"
#include "x_parts.cuh"

namespace nibble {

static_assert(GEMV_TASK_COLUMNS == kTaskColumns, "a warp quantizes this many columns");

// A stage: codes, scales and zeros of an item, each as it lies in the matrix.
template <int kBits, int kRun>
struct Stage {
  static constexpr int kRows = 16 * Tile<kBits>::kSubtiles;
  static constexpr int kGroups = NIBBLE_COLUMN_BLOCK / kRun;
  static constexpr int kCodeBytes = kRows * NIBBLE_COLUMN_BLOCK / 8 * kBits;
  static constexpr int kZerosAt = kCodeBytes + 2 * kRows * kGroups;
  static constexpr int kBytes = kZerosAt + kRows * kGroups;
};

// A quantized input in shared memory.
template <int kBits, int kTokens>
struct InputLayout {
  // [column block][step of 32 columns][token][high, low][4 lanes][2 words]: operand B's registers.
  uint32_t* parts;
  // A column block's steps of zeros.
  uint32_t* zero_parts;
  // [run][token]{scale, sum}, the scale over and the sum times 2^kShift.
  float2* runs;
  // [task][token] sums of squares; once they are summed, task 0 holds 1 / root mean square.
  float* squares;

  static constexpr int kStepWords = 16 * kTokens;
  static constexpr int kZeroWords = NIBBLE_COLUMN_BLOCK / 32 * kStepWords;
  // Sums are brought to the scale of the tile's highest field.
  static constexpr int kShift = Tile<kBits>::shift(Tile<kBits>::kChains - 1);
};

// A warp's 256 columns of a token, quantized, as operand B.
template <int kRun, int kTokens, class Layout>
__device__ __forceinline__ void store_parts(const Layout& layout, int task, int token, int lane,
                                            const XParts& parts) {
  const int first = task * kTaskColumns + lane * kLaneColumns;
  // Lane l has columns 8 (l % 4) to + 7 of a step: two lanes' words of operand B.
  uint32_t* step = layout.parts + (first / 32) * Layout::kStepWords + token * 16;
  uint32_t* words = step + lane % 2 * 4 + lane % 4 / 2;
  words[0] = parts.high.x;
  words[2] = parts.high.y;
  words[8] = parts.low.x;
  words[10] = parts.low.y;
  if (lane % (kRun / kLaneColumns) == 0) {
    layout.runs[first / kRun * kTokens + token] =
        make_float2(__fmul_rn(parts.scale, 1.0f / (1 << Layout::kShift)),
                    __int_as_float(parts.sum << Layout::kShift));
  }
}

// Where a warp's lane reads the tasks of quantize_x: task and token of number i.
template <int kTokens>
__device__ __forceinline__ int task_column(int i, int lane) {
  return i / kTokens * kTaskColumns + lane * kLaneColumns;
}

// Waits for x and quantizes it into shared memory, the columns past the last as zeros; kAhead of a
// warp's tasks at a time, whose latencies overlap.
template <int kRun, int kTokens, int kAhead, class Layout>
__device__ __forceinline__ void quantize_halves(const gemv_args& args, const Layout& layout, int end,
                                                int warp, int warps, int lane) {
  const __half* const x = static_cast<const __half*>(args.x);
  wait_for_previous_kernel();
#pragma unroll 1
  for (int first = warp; first < end; first += kAhead * warps) {
    uint4 halves[kAhead];
#pragma unroll
    for (int j = 0; j < kAhead; ++j) {
      const int i = first + j * warps, token = i % kTokens;
      halves[j] = make_uint4(0, 0, 0, 0);
      if (i < end && token < args.tokens) {
        halves[j] = load_eight_halves(x + token * args.x_stride, task_column<kTokens>(i, lane),
                                      args.columns);
      }
    }
    XParts parts[kAhead];
#pragma unroll
    for (int j = 0; j < kAhead; ++j) {
      float values[kLaneColumns];
      to_floats(halves[j], values);
      parts[j] = quantize<kRun>(values);
    }
#pragma unroll
    for (int j = 0; j < kAhead; ++j) {
      const int i = first + j * warps;
      if (i < end) store_parts<kRun, kTokens>(layout, i / kTokens, i % kTokens, lane, parts[j]);
    }
  }
}

// The same of a norm's x * weight. The first weights are read before the wait.
template <int kRun, int kTokens, int kAhead, class Layout>
__device__ __forceinline__ void quantize_normed(const gemv_args& args, const Layout& layout, int end,
                                                int warp, int warps, int lane) {
  const float* const x = static_cast<const float*>(args.x);
  float weights[kAhead][kLaneColumns];
  const auto load_weights = [&](int first) {
#pragma unroll
    for (int j = 0; j < kAhead; ++j) {
      const int i = first + j * warps;
      if (i < end) {
        load_norm(args.norm_weight, args.channel_order, task_column<kTokens>(i, lane),
                  args.columns, weights[j]);
      }
    }
  };
  load_weights(warp);
  wait_for_previous_kernel();
#pragma unroll 1
  for (int first = warp; first < end; first += kAhead * warps) {
    float values[kAhead][kLaneColumns];
#pragma unroll
    for (int j = 0; j < kAhead; ++j) {
      const int i = first + j * warps, token = i % kTokens;
#pragma unroll
      for (int k = 0; k < kLaneColumns; ++k) values[j][k] = 0.0f;
      if (i < end && token < args.tokens) {
        load_floats(x + token * args.x_stride, args.channel_order, task_column<kTokens>(i, lane),
                    args.columns, values[j]);
      }
    }
    XParts parts[kAhead];
    float sums[kAhead];
#pragma unroll
    for (int j = 0; j < kAhead; ++j) {
      sums[j] = warp_sum(weigh(values[j], weights[j]));
      parts[j] = quantize<kRun>(values[j]);
    }
#pragma unroll
    for (int j = 0; j < kAhead; ++j) {
      const int i = first + j * warps;
      if (i >= end) break;
      if (lane == 0) layout.squares[i] = sums[j];
      store_parts<kRun, kTokens>(layout, i / kTokens, i % kTokens, lane, parts[j]);
    }
    if (first + kAhead * warps < end) load_weights(first + kAhead * warps);
  }
}

template <int kRun, int kTokens, class Layout>
__device__ __forceinline__ void quantize_x(const gemv_args& args, const Layout& layout, int blocks,
                                           int warp, int warps, int lane) {
  for (int i = threadIdx.x; i < Layout::kZeroWords; i += blockDim.x) layout.zero_parts[i] = 0;
  const int end = blocks * (NIBBLE_COLUMN_BLOCK / kTaskColumns) * kTokens;
  const bool once = end <= warps;
  if (args.norm_weight != nullptr) {
    if (once) {
      quantize_normed<kRun, kTokens, 1>(args, layout, end, warp, warps, lane);
    } else {
      quantize_normed<kRun, kTokens, 2>(args, layout, end, warp, warps, lane);
    }
  } else if (once) {
    quantize_halves<kRun, kTokens, 1>(args, layout, end, warp, warps, lane);
  } else {
    quantize_halves<kRun, kTokens, 3>(args, layout, end, warp, warps, lane);
  }
}

// Sums over 512 columns of a tile's rows, in a lane rows lane / 4 + 8 h of each subtile.
template <int kBits, int kRun, int kTokens>
struct BlockSum {
  using Format = Tile<kBits>;
  using StageOf = Stage<kBits, kRun>;
  using Layout = InputLayout<kBits, kTokens>;
  static constexpr int kSlots = 4 / kTokens;            // groups that share an accumulator
  static constexpr int kInterleaved = 4 / kSlots;       // of the four interleaved sums, in a lane
  static constexpr int kSpan = kSlots * kRun;           // columns of an accumulator
  static constexpr int kTileColumns = 32 * Format::kSteps;
  static constexpr int kRunSteps = kRun / 32;

  struct Weights {
    float scale[Format::kSubtiles][2];
    int zero[Format::kSubtiles][2];
  };

  int sums[Format::kSubtiles][Format::kChains][4];
  float values[kInterleaved][Format::kSubtiles][2];

  __device__ void clear_sums() {
#pragma unroll
    for (int r = 0; r < Format::kSubtiles; ++r) {
#pragma unroll
      for (int c = 0; c < Format::kChains; ++c) {
#pragma unroll
        for (int i = 0; i < 4; ++i) sums[r][c][i] = 0;
      }
    }
  }

  __device__ void clear_values() {
#pragma unroll
    for (int i = 0; i < kInterleaved; ++i) {
#pragma unroll
      for (int r = 0; r < Format::kSubtiles; ++r) values[i][r][0] = values[i][r][1] = 0.0f;
    }
  }

  // Products of columns [first, first + kSpan) of a stage; `stage` is the address of this lane's bytes
  // in it. `parts` is that of the lane's column of operand B; its group is slot `slot` of those that
  // share a sum, and in the others' steps the lane has `zeros`. Columns past the last are zeros in B,
  // whatever the stage holds there.
  __device__ __forceinline__ void add_products(uint32_t stage, uint32_t parts, uint32_t zeros,
                                               int first, int slot) {
    constexpr int tiles = kSpan < kTileColumns ? 1 : kSpan / kTileColumns;
#pragma unroll
    for (int k = 0; k < tiles; ++k) {
      const int tile = first / kTileColumns + k;
      uint4 chunks[Format::kChunks];
#pragma unroll
      for (int c = 0; c < Format::kChunks; ++c) {
        chunks[c] = load_shared_16(stage + (tile * Format::kChunks + c) * NIBBLE_CHUNK_BYTES);
      }
      Fragments<kBits> fragments;
      unpack<kBits>(chunks, fragments);
#pragma unroll
      for (int s = 0; s < Format::kSteps; ++s) {
        const int step = tile * Format::kSteps + s;
        if (step * 32 >= first && step * 32 < first + kSpan) {
          const bool mine = kSlots == 1 || step / kRunSteps % kSlots == slot;
          const uint2 b = load_shared_8((mine ? parts : zeros) + 4 * step * Layout::kStepWords);
#pragma unroll
          for (int r = 0; r < Format::kSubtiles; ++r) {
            const int fragment = r * Format::kSteps + s;
            multiply(sums[r][Format::chain(fragment, step)], fragments[fragment], b.x, b.y);
          }
        }
      }
    }
  }

  // Scales and zeros of a lane's rows, `row` and every eighth after it, of one of a stage's groups.
  static __device__ __forceinline__ Weights load_weights(uint32_t stage, int group, int groups,
                                                         int row, bool zeros) {
    Weights w;
    const uint32_t scales_at = stage + StageOf::kCodeBytes + 2 * (16 * group + row);
    const uint32_t zeros_at = stage + StageOf::kZerosAt + 16 * group + row;
#pragma unroll
    for (int r = 0; r < Format::kSubtiles; ++r) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int at = r * groups * 16 + 8 * h;
        w.scale[r][h] = __half2float(__ushort_as_half(load_shared_2(scales_at + 2 * at)));
        w.zero[r][h] = zeros ? load_shared_1(zeros_at + at) : 1 << (kBits - 1);
      }
    }
    return w;
  }

  // Turns the sums of one group into its product and adds that to an interleaved sum.
  __device__ __forceinline__ void add_group(const Weights& w, uint2 run, int interleaved) {
    const float x_scale = __uint_as_float(run.x);
    const int x_sum = static_cast<int>(run.y);
#pragma unroll
    for (int r = 0; r < Format::kSubtiles; ++r) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        int high = 0, low = 0;
#pragma unroll
        for (int c = 0; c < Format::kChains; ++c) {
          high += sums[r][c][2 * h] << (Layout::kShift - Format::shift(c));
          low += sums[r][c][2 * h + 1] << (Layout::kShift - Format::shift(c));
        }
        const int product = 256 * high + low - w.zero[r][h] * x_sum;
        values[interleaved][r][h] =
            __fmaf_rn(__fmul_rn(w.scale[r][h], x_scale), static_cast<float>(product),
                      values[interleaved][r][h]);
      }
    }
  }

  // ((0 + 1) + 2) + 3 of the interleaved sums, in the lanes of slot 0.
  __device__ float total(int subtile, int h) const {
    float sum = values[0][subtile][h];
#pragma unroll
    for (int i = 0; i < kInterleaved; ++i) {
      const float value = values[i][subtile][h];
      if (i > 0) sum = __fadd_rn(sum, value);
#pragma unroll
      for (int slot = 1; slot < kSlots; ++slot) {
        sum = __fadd_rn(sum, __shfl_xor_sync(kAllLanes, value, slot * kTokens));
      }
    }
    return sum;
  }
};

// Adds up a tile's column blocks; `partial` is the first one's.
__device__ __forceinline__ float sum_blocks(const float* partial, int blocks, int stride) {
  float chains[4] = {};
  int block = 0;
#pragma unroll 2
  for (; block + 4 <= blocks; block += 4) {
#pragma unroll
    for (int c = 0; c < 4; ++c) chains[c] = __fadd_rn(chains[c], partial[(block + c) * stride]);
  }
#pragma unroll
  for (int c = 0; c < 3; ++c) {
    if (block + c < blocks) chains[c] = __fadd_rn(chains[c], partial[(block + c) * stride]);
  }
  return __fadd_rn(__fadd_rn(__fadd_rn(chains[0], chains[1]), chains[2]), chains[3]);
}

}  // namespace nibble

#endif  // NIBBLE_GEMV_SUM_CUH
