// See skinny.h. A thread block takes 32 rows and all tokens, 128 columns at a time through a ring of
// stages that all its warps share. Of its 8 warps two, one for each 16 rows, share a quarter of the
// columns of operand B: the high and low parts of 16-bit inputs side by side, or codes.
#ifndef NIBBLE_SKINNY_CUH
#define NIBBLE_SKINNY_CUH

#include <cuda_fp16.h>

#include <cstdint>

#include "async_copy.cuh"
#include "epilogue.cuh"
#include "packed_tile.cuh"
#include "skinny.h"

namespace nibble {

enum class SkinnyInput { kParts, kCodes };

constexpr int kSteps = SKINNY_COLUMNS / NIBBLE_STEP_COLUMNS;
constexpr int kBlockStages = NIBBLE_COLUMN_BLOCK / SKINNY_COLUMNS;

// Copies 16 or 4 bytes to shared memory, or zeros where there is nothing to copy.
__device__ __forceinline__ void copy16_or_zero(uint32_t to, const void* from, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(there ? 16 : 0)
               : "memory");
}

__device__ __forceinline__ void copy4_or_zero(uint32_t to, const void* from, bool there) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from),
               "r"(there ? 4 : 0)
               : "memory");
}

__device__ __forceinline__ void end_copies_of_stage() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

template <int kPending>
__device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// Operand B of two steps: 8 columns of 64 bytes.
__device__ __forceinline__ void load_columns(uint32_t (&b)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
               : "r"(address)
               : "memory");
}

// A lane's fragments of 16 rows and 128 columns. `codes` are those of 16 rows, for W3 of 32.
template <int kBits>
__device__ __forceinline__ void load_fragments(uint32_t (&a)[kSteps][4], const uint8_t* codes,
                                               int subtile, int lane) {
  constexpr int chunks = kBits == 3 ? 3 : kBits / 2;
  uint32_t words[chunks][4];
#pragma unroll
  for (int c = 0; c < chunks; ++c) {
    const uint4 chunk = *reinterpret_cast<const uint4*>(codes + c * NIBBLE_CHUNK_BYTES +
                                                        lane * NIBBLE_LANE_BYTES);
    words[c][0] = chunk.x, words[c][1] = chunk.y, words[c][2] = chunk.z, words[c][3] = chunk.w;
  }
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    if constexpr (kBits == 8) {
#pragma unroll
      for (int s = 0; s < kSteps; ++s) a[s][j] = words[s][j];
    } else if constexpr (kBits == 4) {
#pragma unroll
      for (int s = 0; s < kSteps; ++s) a[s][j] = words[s / 2][j] >> (4 * (s % 2)) & 0x0f0f0f0fu;
    } else if constexpr (kBits == 2) {
#pragma unroll
      for (int s = 0; s < kSteps; ++s) a[s][j] = words[0][j] >> (2 * s) & 0x03030303u;
    } else if constexpr (kBits == 6) {
#pragma unroll
      for (int s = 0; s < 3; ++s) a[s][j] = words[s][j] & 0x3f3f3f3fu;
      a[3][j] = (words[0][j] >> 6 & 0x03030303u) | (words[1][j] >> 4 & 0x0c0c0c0cu) |
                (words[2][j] >> 2 & 0x30303030u);
    } else if (subtile == 0) {
#pragma unroll
      for (int s = 0; s < kSteps; ++s) a[s][j] = words[s / 2][j] >> (3 * (s % 2)) & 0x07070707u;
    } else {
      a[0][j] = words[2][j] & 0x07070707u;
      a[1][j] = words[2][j] >> 3 & 0x07070707u;
      a[2][j] = (words[0][j] >> 6 & 0x03030303u) | (words[2][j] >> 4 & 0x04040404u);
      a[3][j] = (words[1][j] >> 6 & 0x03030303u) | (words[2][j] >> 5 & 0x04040404u);
    }
  }
}

template <int kBits, SkinnyInput kInput, int kN>
class Skinny {
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
        if (wide()) {
          multiply_rows_by_blocks(unit, part == 0, values);
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

  // The same sums for runs of 128 columns and up to 16 tokens, a column block at a time: each pair of
  // warps multiplies one run of the block by all tokens, so that no fragment is unpacked twice, and
  // adds up the block's four runs for its own tokens one stage later.
  static constexpr int kBlockCodeBytes = kCodeBytes * kBlockStages;
  static constexpr int kBlockXBytes = kXBytes * kBlockStages;
  static constexpr int kWideBytes = SKINNY_WIDE_STAGE_BYTES(kBits);
  static constexpr int kAllTiles = kN / 8;

  // Whether the runs are long enough for it, and the launch has the shared memory.
  __device__ bool wide() const {
    uint32_t bytes;
    asm("mov.u32 %0, %%dynamic_smem_size;" : "=r"(bytes));
    return run_shift_ == 7 &&
           bytes >= SKINNY_WIDE_STAGES * kWideBytes + SKINNY_EXCHANGE_BYTES;
  }

  __device__ uint8_t* wide_stage(int index) const {
    return shared_ + index % SKINNY_WIDE_STAGES * kWideBytes;
  }

  __device__ int block_width(int block) const {
    return min(NIBBLE_COLUMN_BLOCK, columns_ - block * NIBBLE_COLUMN_BLOCK);
  }

  __device__ void fill_wide_weights(int unit, int block) const {
    const int tid = threadIdx.x, width = block_width(block);
    const uint32_t to = shared_address(wide_stage(block));
    const uint8_t* const codes =
        args_.qweight +
        unit / 2 * static_cast<int64_t>(nibble_row_block_bytes(kBits, columns_)) +
        block * (NIBBLE_ROW_BLOCK * NIBBLE_COLUMN_BLOCK / 8 * kBits) +
        unit % 2 * (4 * kBits * width);
#pragma unroll
    for (int i = 0; i < kBlockCodeBytes / 16; i += SKINNY_THREADS) {
      const int at = 16 * (i + tid);
      if (at < 4 * kBits * width) copy16_or_zero(to + at, codes + at, true);
    }
    if (grouped_ && tid < 24) {
      const int groups = width / SKINNY_COLUMNS;  // of a subtile
      const bool zero = tid >= 16;
      const int piece = zero ? tid - 16 : tid;
      const int64_t group = unit / 2 * static_cast<int64_t>(4 * columns_ / SKINNY_COLUMNS) +
                            block * 16 + unit % 2 * (2 * groups);
      if (piece < (zero ? 2 : 4) * groups && !(zero && args_.zeros == nullptr)) {
        const uint8_t* const from = zero ? args_.zeros + group * 16
                                         : static_cast<const uint8_t*>(args_.scales) + group * 32;
        copy16_or_zero(to + kBlockCodeBytes + kBlockXBytes + 16 * tid, from + 16 * piece, true);
      }
    }
  }

  __device__ void fill_wide_x(int block) const {
    const int tid = threadIdx.x, width = block_width(block);
    const uint32_t to = shared_address(wide_stage(block)) + kBlockCodeBytes;
#pragma unroll
    for (int i = 0; i < kN / 8; ++i) {
      const int row = 8 * i + tid / 32, piece = tid % 32;
      const bool there = row < 2 * args_.tokens && 16 * piece < width;
      const int64_t tile = block * kBlockStages + piece / 8;
      copy16_or_zero(to + row * NIBBLE_COLUMN_BLOCK + piece * 16,
                     there ? args_.x + (tile * x_rows_ + row) * SKINNY_COLUMNS + piece % 8 * 16
                           : args_.x,
                     there);
    }
    if (tid < 32) {
      const int run = tid / 8, token = tid % 8 * 2;
      const bool there = token < args_.run_stride && run * SKINNY_COLUMNS < width;
      const int64_t from = (block * 4 + run) * static_cast<int64_t>(args_.run_stride) + token;
      copy16_or_zero(to + kBlockXBytes + kScaleBytes + kZeroBytes + 16 * tid,
                     static_cast<const uint8_t*>(args_.runs) + (there ? from * 8 : 0), there);
    }
  }

  __device__ void multiply_rows_by_blocks(int unit, bool first_part,
                                          float (&totals)[kTiles][kOutputs]) const {
    const int blocks = (columns_ + NIBBLE_COLUMN_BLOCK - 1) / NIBBLE_COLUMN_BLOCK;
    // [parity of the block][subtile][run][tile][output][lane].
    constexpr int run_floats = kAllTiles * 2 * 32;
    float* const exchange = reinterpret_cast<float*>(shared_ + SKINNY_WIDE_STAGES * kWideBytes);
    const int run = warp_ / 2;
#pragma unroll 1
    for (int s = 0; s < SKINNY_WIDE_STAGES - 1 && s < blocks; ++s) fill_wide_weights(unit, s);
    if (first_part) {
      wait_for_previous_kernel();
      start_next_kernel();
    }
#pragma unroll 1
    for (int s = 0; s < SKINNY_WIDE_STAGES - 1; ++s) {
      if (s < blocks) fill_wide_x(s);
      end_copies_of_stage();
    }
    Weights w = row_weights(unit);
    float chains[4][2] = {};
    const auto add_exchanged = [&](int block) {
      const float* const from =
          exchange + (block % 2 * 2 + subtile_) * 4 * run_floats + run * 64 + lane_;
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const float* const p = from + 32 * i;
        float sum = p[0];
#pragma unroll
        for (int v = 1; v < 4; ++v) sum = __fadd_rn(sum, p[v * run_floats]);
#pragma unroll
        for (int c = 0; c < 4; ++c) {
          if (c == block % 4) chains[c][i] = __fadd_rn(chains[c][i], sum);
        }
      }
    };

#pragma unroll 1
    for (int block = 0; block < blocks; ++block) {
      wait_for_copies<SKINNY_WIDE_STAGES - 2>();
      __syncthreads();
      const int next = block + SKINNY_WIDE_STAGES - 1;
      if (next < blocks) {
        fill_wide_weights(unit, next);
        fill_wide_x(next);
      }
      end_copies_of_stage();
      if (block > 0) add_exchanged(block - 1);

      const uint8_t* const bytes = wide_stage(block);
      const int width = block_width(block);
      float values[kAllTiles][2] = {};
      if (run * SKINNY_COLUMNS < width) {
        const uint32_t x = shared_address(bytes) + kBlockCodeBytes;
        uint32_t a[kSteps][4];
        load_fragments<kBits>(a,
                              bytes + (kBits == 3 ? run * kCodeBytes
                                                  : subtile_ * (2 * kBits * width) +
                                                        run * (kCodeBytes / 2)),
                              subtile_, lane_);
        int sums[kAllTiles][4] = {};
#pragma unroll
        for (int pair = 0; pair < kSteps / 2; ++pair) {
#pragma unroll
          for (int n = 0; n < kAllTiles; ++n) {
            uint32_t b[4];
            const int row = 8 * n + lane_ % 8;
            const int piece = 8 * run + 4 * pair + lane_ / 8;
            load_columns(b, x + row * NIBBLE_COLUMN_BLOCK + (piece ^ row % 8) * 16);
            multiply(sums[n], a[2 * pair], b[0], b[1]);
            multiply(sums[n], a[2 * pair + 1], b[2], b[3]);
          }
        }
        const uint8_t* const scales = bytes + kBlockCodeBytes + kBlockXBytes;
        if (grouped_) {
          const int group = subtile_ * (width / SKINNY_COLUMNS) + run;
#pragma unroll
          for (int h = 0; h < 2; ++h) {
            const int at = group * 16 + g_ + 8 * h;
            w.scale[h] = __half2float(reinterpret_cast<const __half*>(scales)[at]);
            w.zero[h] = args_.zeros == nullptr ? 1 << (kBits - 1) : scales[kScaleBytes + at];
          }
        }
        const float2* const runs =
            reinterpret_cast<const float2*>(scales + kScaleBytes + kZeroBytes) + run * kTokens;
#pragma unroll
        for (int n = 0; n < kAllTiles; ++n) {
          const float2 of_x = runs[4 * n + t_];
#pragma unroll
          for (int h = 0; h < 2; ++h) {
            const int product = 256 * sums[n][2 * h] + sums[n][2 * h + 1] -
                                w.zero[h] * __float_as_int(of_x.y);
            values[n][h] =
                __fmul_rn(__fmul_rn(w.scale[h], of_x.x), static_cast<float>(product));
          }
        }
      }
      float* const to = exchange + ((block % 2 * 2 + subtile_) * 4 + run) * run_floats + lane_;
#pragma unroll
      for (int n = 0; n < kAllTiles; ++n) {
#pragma unroll
        for (int h = 0; h < 2; ++h) to[n * 64 + h * 32] = values[n][h];
      }
    }
    __syncthreads();
    add_exchanged(blocks - 1);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      totals[0][i] = chains[0][i];
#pragma unroll
      for (int c = 1; c < 4; ++c) totals[0][i] = __fadd_rn(totals[0][i], chains[c][i]);
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

template <int kBits, SkinnyInput kInput, int kN>
__device__ __forceinline__ void skinny(const skinny_args& args) {
  extern __shared__ __align__(16) uint8_t shared[];
  Skinny<kBits, kInput, kN>(args, shared).run();
}

}  // namespace nibble

#define NIBBLE_SKINNY_KERNEL(bits, name, input, n)                                 \
  extern "C" __global__ void __launch_bounds__(SKINNY_THREADS, 2)                  \
      skinny_w##bits##name##_n##n(const __grid_constant__ skinny_args args) {  \
    nibble::skinny<bits, nibble::SkinnyInput::input, n>(args);                     \
  }

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#include "skinny_wgmma.cuh"
#else
#define NIBBLE_SKINNY_WGMMA_KERNELS(bits)
#endif

#define NIBBLE_SKINNY_KERNELS(bits)             \
  NIBBLE_SKINNY_KERNEL(bits, a16, kParts, 32)   \
  NIBBLE_SKINNY_KERNEL(bits, a16, kParts, 64)   \
  NIBBLE_SKINNY_KERNEL(bits, a16, kParts, 128)  \
  NIBBLE_SKINNY_KERNEL(bits, a8, kCodes, 32)    \
  NIBBLE_SKINNY_KERNEL(bits, a8, kCodes, 64)    \
  NIBBLE_SKINNY_WGMMA_KERNELS(bits)

#endif  // NIBBLE_SKINNY_CUH
