// The kernels of skinny.h for every device. A thread block takes 32 rows and all tokens, 128 columns
// at a time through a ring of stages that all its warps share. Of its 8 warps two, one for each 16
// rows, share a quarter of the columns of operand B: the high and low parts of 16-bit inputs side by
// side, or codes.
#ifndef NIBBLE_SKINNY_ROWS_CUH
#define NIBBLE_SKINNY_ROWS_CUH

#include <cuda_fp16.h>

#include <cstdint>

#include "epilogue.cuh"
#include "packed_tile.cuh"
#include "skinny_loads.cuh"

namespace nibble {

enum class SkinnyInput { kParts, kCodes };

template <int kBits>
class SkinnyWide;

template <int kBits, SkinnyInput kInput, int kN>
class Skinny {
  friend class SkinnyWide<kBits>;
  static constexpr bool kParts = kInput == SkinnyInput::kParts;
  static constexpr int kTiles = kN / 32;          // of 8 columns of B, for a warp
  static constexpr int kOutputs = kParts ? 2 : 4;  // of a lane in a tile
  static constexpr int kInterleaved = kParts ? 4 : 1;
  static constexpr int kTokens = kParts ? kN / 2 : kN;
  static constexpr int kCodeBytes = SKINNY_ROWS * SKINNY_COLUMNS / 8 * kBits;
  static constexpr int kXBytes = kN * SKINNY_COLUMNS;
  static constexpr int kScaleBytes = 2 * 4 * SKINNY_ROWS, kZeroBytes = 4 * SKINNY_ROWS;
  static constexpr int kRunBytes = 16 * kN;
  static constexpr int kStageBytes = kCodeBytes + kXBytes + kScaleBytes + kZeroBytes + kRunBytes;

  const skinny_args& args_;
  uint8_t* const shared_;
  const int warp_ = threadIdx.x / 32, lane_ = threadIdx.x % 32;
  const int g_ = lane_ / 4, t_ = lane_ % 4;
  const int subtile_ = warp_ % 2, first_tile_ = warp_ / 2 * kTiles;
  const int columns_;  // padded
  const int x_rows_;   // of tiled x
  const int stages_;   // of 128 columns
  const int run_shift_;         // log2 of the columns that share a scale of W, or for parts of x
  const bool grouped_;

 public:
  __device__ Skinny(const skinny_args& args, uint8_t* shared)
      : args_(args),
        shared_(shared),
        columns_(static_cast<int>(nibble_padded_columns(args.columns))),
        x_rows_(static_cast<int>(
            nibble_tiled_tokens(kParts ? 2 * args.tokens : args.tokens))),
        stages_(columns_ / SKINNY_COLUMNS),
        run_shift_(args.group_size == 32 ? 5 : args.group_size == 64 ? 6 : 7),
        grouped_(args.group_size != 0) {}

  __device__ void run() const {
    const bool pair = args_.epilogue == GEMV_SWIGLU_F16;
    float gate[kTiles][kOutputs];
    float values[kTiles][kOutputs];
#pragma unroll 1
    for (int part = 0; part <= pair; ++part) {
      const int unit = blockIdx.x + part * gridDim.x;
      if (part == 1) {
#pragma unroll
        for (int n = 0; n < kTiles; ++n) {
#pragma unroll
          for (int i = 0; i < kOutputs; ++i) gate[n][i] = values[n][i];
        }
        __syncthreads();
      }
      if constexpr (kParts && kN == 32) {
        const SkinnyWide<kBits> wide(*this);
        if (wide.possible()) {
          wide.multiply_rows(unit, part == 0, values);
          continue;
        }
      }
      multiply_rows(unit, part == 0, values);
    }
    finish(pair, gate, values);
  }

 private:
  __device__ uint8_t* stage(int index) const {
    return shared_ + index % SKINNY_STAGES * kStageBytes;
  }

  // Starts the copies of a stage's codes, scales and zeros.
  __device__ void fill_weights(int unit, int index) const {
    const int tid = threadIdx.x;
    const int block = index / kBlockStages, in_block = index % kBlockStages;
    const int width = min(NIBBLE_COLUMN_BLOCK, columns_ - block * NIBBLE_COLUMN_BLOCK);
    const int row_block = unit / 2, half = unit % 2;
    const uint32_t to = shared_address(stage(index));
    if (tid < kCodeBytes / 16) {
      constexpr int pieces = 16 * kBits;  // of 16 rows
      const int subtile = kBits == 3 ? 0 : tid / pieces;
      const int offset = kBits == 3 ? tid : tid % pieces;
      const uint8_t* const from =
          args_.qweight +
          row_block * static_cast<int64_t>(nibble_row_block_bytes(kBits, columns_)) +
          block * (NIBBLE_ROW_BLOCK * NIBBLE_COLUMN_BLOCK / 8 * kBits) +
          (2 * half + subtile) * (2 * kBits * width) +
          in_block * (kBits == 3 ? kCodeBytes : kCodeBytes / 2) + 16 * offset;
      copy16_or_zero(to + 16 * tid, from, true);
    }
    if (grouped_ && tid < 6 * 4) {
      const int groups = SKINNY_COLUMNS >> run_shift_;
      const bool zero = tid >= 16;
      const int subtile = (zero ? tid - 16 : tid) / (zero ? 4 : 8);
      const int offset = (zero ? tid - 16 : tid) % (zero ? 4 : 8);
      const int64_t group = row_block * static_cast<int64_t>(4 * columns_ >> run_shift_) +
                            block * (4 * NIBBLE_COLUMN_BLOCK >> run_shift_) +
                            (2 * half + subtile) * (width >> run_shift_) + in_block * groups;
      if (offset < (zero ? groups : 2 * groups) && !(zero && args_.zeros == nullptr)) {
        const uint8_t* const from = zero ? args_.zeros + group * 16
                                         : static_cast<const uint8_t*>(args_.scales) + group * 32;
        copy16_or_zero(to + kCodeBytes + kXBytes + 16 * tid, from + 16 * offset, true);
      }
    }
  }

  // Starts the copies of a stage's inputs, with their scales and sums.
  __device__ void fill_x(int index) const {
    const int tid = threadIdx.x;
    const uint32_t to = shared_address(stage(index)) + kCodeBytes;
    const int rows = kParts ? 2 * args_.tokens : args_.tokens;
#pragma unroll
    for (int i = 0; i < kTiles; ++i) {
      const int row = (i * SKINNY_THREADS + tid) / 8, piece = tid % 8;
      const bool there = row < rows;
      copy16_or_zero(to + row * SKINNY_COLUMNS + piece * 16,
                     there ? args_.x + (static_cast<int64_t>(index) * x_rows_ + row) *
                                           SKINNY_COLUMNS +
                                 piece * 16
                           : args_.x,
                     there);
    }
    const uint32_t runs_to = to + kXBytes + kScaleBytes + kZeroBytes;
    const int runs = SKINNY_COLUMNS >> run_shift_;
    if (kParts) {
      constexpr int pieces = kTokens / 2;  // two tokens each
      if (tid < runs * pieces) {
        const int run = tid / pieces, token = tid % pieces * 2;
        const bool there = token < args_.run_stride;
        copy16_or_zero(
            runs_to + tid * 16,
            static_cast<const uint8_t*>(args_.runs) +
                ((index * runs + run) * static_cast<int64_t>(args_.run_stride) +
                 (there ? token : 0)) *
                    8,
            there);
      }
    } else if (grouped_ && tid < runs * kTokens) {
      const int run = index * runs + tid / kTokens, token = tid % kTokens;
      const int groups = (args_.columns + (1 << run_shift_) - 1) >> run_shift_;
      const bool there = token < args_.tokens && run < groups;
      copy4_or_zero(runs_to + tid * 4,
                    args_.sums + (there ? token * static_cast<int64_t>(groups) + run : 0), there);
    }
  }

  struct Weights {
    float scale[2];
    int zero[2];
  };

  // Scales and zeros of the lane's rows g and g + 8, of one group of a stage.
  __device__ Weights stage_weights(const uint8_t* stage, int group) const {
    const uint8_t* const scales = stage + kCodeBytes + kXBytes + subtile_ * 128 + group * 32;
    const uint8_t* const zeros = stage + kCodeBytes + kXBytes + kScaleBytes + subtile_ * 64 + group * 16;
    Weights w;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      w.scale[h] = __half2float(*reinterpret_cast<const __half*>(scales + 2 * (g_ + 8 * h)));
      w.zero[h] = args_.zeros == nullptr ? 1 << (kBits - 1) : zeros[g_ + 8 * h];
    }
    return w;
  }

  __device__ Weights row_weights(int unit) const {
    Weights w = {};
    if (grouped_) return w;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int row = unit * SKINNY_ROWS + 16 * subtile_ + g_ + 8 * h;
      w.scale[h] = __half2float(static_cast<const __half*>(args_.scales)[row]);
      w.zero[h] = args_.zeros == nullptr ? 1 << (kBits - 1) : args_.zeros[row];
    }
    return w;
  }

  // Adds a run's product to the sums and clears it. `runs` are the run's scales and sums of x.
  static __device__ void add_run(int (&sums)[kTiles][4], const Weights& w, const uint8_t* runs,
                                 int first_tile, int t, int interleaved,
                                 float (&values)[kInterleaved][kTiles][kOutputs]) {
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
      const int tile = first_tile + n;
#pragma unroll
      for (int i = 0; i < kOutputs; ++i) {
        const int h = kParts ? i : i / 2;
        float factor;
        int product;
        if constexpr (kParts) {
          const float2 run = reinterpret_cast<const float2*>(runs)[4 * tile + t];
          product = 256 * sums[n][2 * h] + sums[n][2 * h + 1] -
                    w.zero[h] * __float_as_int(run.y);
          factor = __fmul_rn(w.scale[h], run.x);
        } else {
          const int sum = reinterpret_cast<const int*>(runs)[8 * tile + 2 * t + i % 2];
          product = sums[n][i] - w.zero[h] * sum;
          factor = w.scale[h];
        }
#pragma unroll
        for (int v = 0; v < kInterleaved; ++v) {
          if (v == interleaved) {
            values[v][n][i] = __fmaf_rn(factor, static_cast<float>(product), values[v][n][i]);
          }
        }
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) sums[n][i] = 0;
    }
  }

  // ((0 + 1) + 2) + 3 of interleaved sums.
  static __device__ void sum_interleaved(const float (&values)[kInterleaved][kTiles][kOutputs],
                                         float (&sums)[kTiles][kOutputs]) {
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int i = 0; i < kOutputs; ++i) {
        sums[n][i] = values[0][n][i];
#pragma unroll
        for (int v = 1; v < kInterleaved; ++v) sums[n][i] = __fadd_rn(sums[n][i], values[v][n][i]);
      }
    }
  }

  // Adds a column block to its chain and clears it.
  static __device__ void add_block(int block, float (&values)[kInterleaved][kTiles][kOutputs],
                                   float (&chains)[kInterleaved][kTiles][kOutputs]) {
    float sums[kTiles][kOutputs];
    sum_interleaved(values, sums);
#pragma unroll
    for (int c = 0; c < kInterleaved; ++c) {
#pragma unroll
      for (int n = 0; n < kTiles; ++n) {
#pragma unroll
        for (int i = 0; i < kOutputs; ++i) {
          if (c == block % 4) chains[c][n][i] = __fadd_rn(chains[c][n][i], sums[n][i]);
          values[c][n][i] = 0.0f;
        }
      }
    }
  }

  // Sums over all columns of 32 rows; in a lane rows g and g + 8 of its subtile.
  __device__ void multiply_rows(int unit, bool first_part,
                                float (&totals)[kTiles][kOutputs]) const {
#pragma unroll 1
    for (int s = 0; s < SKINNY_STAGES - 1 && s < stages_; ++s) fill_weights(unit, s);
    if (first_part) {
      wait_for_previous_kernel();
      start_next_kernel();
    }
#pragma unroll 1
    for (int s = 0; s < SKINNY_STAGES - 1; ++s) {
      if (s < stages_) fill_x(s);
      end_copies_of_stage();
    }
    Weights w = row_weights(unit);
    int sums[kTiles][4] = {};
    float values[kInterleaved][kTiles][kOutputs] = {};
    float chains[kInterleaved][kTiles][kOutputs] = {};
    // Codes per channel are one run; their sums are exact integers.
    const bool one_run = !kParts && !grouped_;
    const int steps_shift = run_shift_ - 5, last_step = (1 << steps_shift) - 1;
    const int runs = SKINNY_COLUMNS >> run_shift_;

#pragma unroll 1
    for (int index = 0; index < stages_; ++index) {
      wait_for_copies<SKINNY_STAGES - 2>();
      __syncthreads();
      const int next = index + SKINNY_STAGES - 1;
      if (next < stages_) {
        fill_weights(unit, next);
        fill_x(next);
      }
      end_copies_of_stage();

      const uint8_t* const bytes = stage(index);
      const uint32_t x = shared_address(bytes) + kCodeBytes;
      uint32_t a[kSteps][4];
      load_fragments<kBits>(a, bytes + (kBits == 3 ? 0 : subtile_ * (kCodeBytes / 2)), subtile_,
                            lane_);
#pragma unroll
      for (int pair = 0; pair < kSteps / 2; ++pair) {
        uint32_t b[kTiles][4];
#pragma unroll
        for (int n = 0; n < kTiles; ++n) {
          const int row = 8 * (first_tile_ + n) + lane_ % 8;
          const int piece = 4 * pair + lane_ / 8;
          load_columns(b[n], x + row * SKINNY_COLUMNS + (piece ^ row % 8) * 16);
        }
#pragma unroll
        for (int s = 0; s < 2; ++s) {
          const int step = 2 * pair + s;
#pragma unroll
          for (int n = 0; n < kTiles; ++n) multiply(sums[n], a[step], b[n][2 * s], b[n][2 * s + 1]);
          if (!one_run && (step & last_step) == last_step) {
            const int run = step >> steps_shift;
            if (grouped_) w = stage_weights(bytes, run);
            add_run(sums, w,
                    bytes + kCodeBytes + kXBytes + kScaleBytes + kZeroBytes +
                        run * kTokens * (kParts ? 8 : 4),
                    first_tile_, t_, kParts ? (index * runs + run) % 4 : 0, values);
          }
        }
      }
      if (kParts && (index % kBlockStages == kBlockStages - 1 || index == stages_ - 1)) {
        add_block(index / kBlockStages, values, chains);
      }
    }
    if constexpr (kParts) sum_interleaved(chains, totals);
    if constexpr (!kParts) {
#pragma unroll
      for (int n = 0; n < kTiles; ++n) {
#pragma unroll
        for (int i = 0; i < kOutputs; ++i) {
          totals[n][i] = values[0][n][i];
          const int token = token_of(n, i);
          if (one_run && token < args_.tokens) {
            totals[n][i] = w.scale[i / 2] *
                           static_cast<float>(sums[n][i] - w.zero[i / 2] * args_.sums[token]);
          }
          if (args_.token_zeros != nullptr && token < args_.tokens) {
            const int row = unit * SKINNY_ROWS + 16 * subtile_ + g_ + 8 * (i / 2);
            totals[n][i] -= load_fresh(args_.token_zeros + token) * args_.row_sums[row];
          }
        }
      }
    }
    wait_for_copies<0>();
  }

  __device__ int token_of(int tile, int output) const {
    return kParts ? 4 * (first_tile_ + tile) + t_ : 8 * (first_tile_ + tile) + 2 * t_ + output % 2;
  }

  __device__ void finish(bool pair, const float (&gate)[kTiles][kOutputs],
                         const float (&values)[kTiles][kOutputs]) const {
    const OutputRow first =
        output_row(args_.segments, args_.segment_count, blockIdx.x * SKINNY_ROWS + 16 * subtile_);
    const gemv_segment& segment = args_.segments[first.segment];
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int i = 0; i < kOutputs; ++i) {
        const int token = token_of(n, i);
        const int row = first.row + g_ + 8 * (kParts ? i : i / 2);
        if (token >= args_.tokens || row >= segment.rows) continue;
        const float scale =
            args_.token_scales == nullptr ? 1.0f : load_fresh(args_.token_scales + token);
        const float value = __fmul_rn(values[n][i], scale);
        if (pair) {
          store_half(segment, token, row,
                     swiglu(with_bias(segment, token, row, __fmul_rn(gate[n][i], scale)),
                            with_bias(args_.segments[1], token, row, value)));
        } else {
          store(segment, args_.epilogue, token, row, value);
        }
      }
    }
  }
};

}  // namespace nibble

#endif  // NIBBLE_SKINNY_ROWS_CUH
