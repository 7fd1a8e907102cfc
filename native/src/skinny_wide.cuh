// The sums of skinny_rows.cuh for runs of 128 columns and up to 16 tokens of parts, a column block at
// a time: each pair of warps multiplies one run of the block by all tokens, so that no fragment is
// unpacked twice, and adds up the block's four runs for its own tokens one stage later.
#ifndef NIBBLE_SKINNY_WIDE_CUH
#define NIBBLE_SKINNY_WIDE_CUH

#include "packed_tile.cuh"
#include "skinny_loads.cuh"
#include "skinny_rows.cuh"

namespace nibble {

template <int kBits>
class SkinnyWide {
  using Rows = Skinny<kBits, SkinnyInput::kParts, 32>;
  static constexpr int kN = 32;  // columns of operand B
  static constexpr int kTiles = kN / 8, kTokens = kN / 2;
  static constexpr int kCodeBytes = SKINNY_ROWS * SKINNY_COLUMNS / 8 * kBits;
  static constexpr int kBlockCodeBytes = kCodeBytes * kBlockStages;
  static constexpr int kBlockXBytes = kN * NIBBLE_COLUMN_BLOCK;
  static constexpr int kScaleBytes = 2 * 4 * SKINNY_ROWS, kZeroBytes = 4 * SKINNY_ROWS;
  static constexpr int kRunBytes = 16 * kN;
  static constexpr int kStageBytes = SKINNY_WIDE_STAGE_BYTES(kBits);
  static_assert(kStageBytes ==
                    kBlockCodeBytes + kBlockXBytes + kScaleBytes + kZeroBytes + kRunBytes,
                "the launcher gives so much");

 public:
  __device__ __forceinline__ explicit SkinnyWide(const Rows& rows) : rows_(rows), args_(rows.args_) {}

  // Whether the runs are long enough for it, and the launch has the shared memory.
  __device__ bool possible() const {
    uint32_t bytes;
    asm("mov.u32 %0, %%dynamic_smem_size;" : "=r"(bytes));
    return rows_.run_shift_ == 7 &&
           bytes >= SKINNY_WIDE_STAGES * kStageBytes + SKINNY_EXCHANGE_BYTES;
  }

  // Sums over all columns of 32 rows; in a lane rows g and g + 8 of its subtile.
  __device__ void multiply_rows(int unit, bool first_part, float (&totals)[1][2]) const {
    const int blocks = (rows_.columns_ + NIBBLE_COLUMN_BLOCK - 1) / NIBBLE_COLUMN_BLOCK;
    // [parity of the block][subtile][run][tile][output][lane].
    constexpr int run_floats = kTiles * 2 * 32;
    float* const exchange =
        reinterpret_cast<float*>(rows_.shared_ + SKINNY_WIDE_STAGES * kStageBytes);
    const int run = rows_.warp_ / 2;
#pragma unroll 1
    for (int s = 0; s < SKINNY_WIDE_STAGES - 1 && s < blocks; ++s) fill_weights(unit, s);
    if (first_part) {
      wait_for_previous_kernel();
      start_next_kernel();
    }
#pragma unroll 1
    for (int s = 0; s < SKINNY_WIDE_STAGES - 1; ++s) {
      if (s < blocks) fill_x(s);
      end_copies_of_stage();
    }
    typename Rows::Weights w = rows_.row_weights(unit);
    float chains[4][2] = {};
    const auto add_exchanged = [&](int block) {
      const float* const from =
          exchange + (block % 2 * 2 + rows_.subtile_) * 4 * run_floats + run * 64 + rows_.lane_;
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
        fill_weights(unit, next);
        fill_x(next);
      }
      end_copies_of_stage();
      if (block > 0) add_exchanged(block - 1);

      const uint8_t* const bytes = stage(block);
      const int width = block_width(block);
      float values[kTiles][2] = {};
      if (run * SKINNY_COLUMNS < width) {
        const uint32_t x = shared_address(bytes) + kBlockCodeBytes;
        uint32_t a[kSteps][4];
        load_fragments<kBits>(a,
                              bytes + (kBits == 3 ? run * kCodeBytes
                                                  : rows_.subtile_ * (2 * kBits * width) +
                                                        run * (kCodeBytes / 2)),
                              rows_.subtile_, rows_.lane_);
        int sums[kTiles][4] = {};
#pragma unroll
        for (int pair = 0; pair < kSteps / 2; ++pair) {
#pragma unroll
          for (int n = 0; n < kTiles; ++n) {
            uint32_t b[4];
            const int row = 8 * n + rows_.lane_ % 8;
            const int piece = 8 * run + 4 * pair + rows_.lane_ / 8;
            load_columns(b, x + row * NIBBLE_COLUMN_BLOCK + (piece ^ row % 8) * 16);
            multiply(sums[n], a[2 * pair], b[0], b[1]);
            multiply(sums[n], a[2 * pair + 1], b[2], b[3]);
          }
        }
        const uint8_t* const scales = bytes + kBlockCodeBytes + kBlockXBytes;
        if (rows_.grouped_) {
          const int group = rows_.subtile_ * (width / SKINNY_COLUMNS) + run;
#pragma unroll
          for (int h = 0; h < 2; ++h) {
            const int at = group * 16 + rows_.g_ + 8 * h;
            w.scale[h] = __half2float(reinterpret_cast<const __half*>(scales)[at]);
            w.zero[h] = args_.zeros == nullptr ? 1 << (kBits - 1) : scales[kScaleBytes + at];
          }
        }
        const float2* const runs =
            reinterpret_cast<const float2*>(scales + kScaleBytes + kZeroBytes) + run * kTokens;
#pragma unroll
        for (int n = 0; n < kTiles; ++n) {
          const float2 of_x = runs[4 * n + rows_.t_];
#pragma unroll
          for (int h = 0; h < 2; ++h) {
            const int product = 256 * sums[n][2 * h] + sums[n][2 * h + 1] -
                                w.zero[h] * __float_as_int(of_x.y);
            values[n][h] =
                __fmul_rn(__fmul_rn(w.scale[h], of_x.x), static_cast<float>(product));
          }
        }
      }
      float* const to =
          exchange + ((block % 2 * 2 + rows_.subtile_) * 4 + run) * run_floats + rows_.lane_;
#pragma unroll
      for (int n = 0; n < kTiles; ++n) {
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

 private:
  const Rows& rows_;
  const skinny_args& args_;

  __device__ uint8_t* stage(int index) const {
    return rows_.shared_ + index % SKINNY_WIDE_STAGES * kStageBytes;
  }

  __device__ int block_width(int block) const {
    return min(NIBBLE_COLUMN_BLOCK, rows_.columns_ - block * NIBBLE_COLUMN_BLOCK);
  }

  __device__ void fill_weights(int unit, int block) const {
    const int tid = threadIdx.x, width = block_width(block);
    const uint32_t to = shared_address(stage(block));
    const uint8_t* const codes =
        args_.qweight +
        unit / 2 * static_cast<int64_t>(nibble_row_block_bytes(kBits, rows_.columns_)) +
        block * (NIBBLE_ROW_BLOCK * NIBBLE_COLUMN_BLOCK / 8 * kBits) +
        unit % 2 * (4 * kBits * width);
#pragma unroll
    for (int i = 0; i < kBlockCodeBytes / 16; i += SKINNY_THREADS) {
      const int at = 16 * (i + tid);
      if (at < 4 * kBits * width) copy16_or_zero(to + at, codes + at, true);
    }
    if (rows_.grouped_ && tid < 24) {
      const int groups = width / SKINNY_COLUMNS;  // of a subtile
      const bool zero = tid >= 16;
      const int piece = zero ? tid - 16 : tid;
      const int64_t group = unit / 2 * static_cast<int64_t>(4 * rows_.columns_ / SKINNY_COLUMNS) +
                            block * 16 + unit % 2 * (2 * groups);
      if (piece < (zero ? 2 : 4) * groups && !(zero && args_.zeros == nullptr)) {
        const uint8_t* const from = zero ? args_.zeros + group * 16
                                         : static_cast<const uint8_t*>(args_.scales) + group * 32;
        copy16_or_zero(to + kBlockCodeBytes + kBlockXBytes + 16 * tid, from + 16 * piece, true);
      }
    }
  }

  __device__ void fill_x(int block) const {
    const int tid = threadIdx.x, width = block_width(block);
    const uint32_t to = shared_address(stage(block)) + kBlockCodeBytes;
#pragma unroll
    for (int i = 0; i < kN / 8; ++i) {
      const int row = 8 * i + tid / 32, piece = tid % 32;
      const bool there = row < 2 * args_.tokens && 16 * piece < width;
      const int64_t tile = block * kBlockStages + piece / 8;
      copy16_or_zero(to + row * NIBBLE_COLUMN_BLOCK + piece * 16,
                     there ? args_.x + (tile * rows_.x_rows_ + row) * SKINNY_COLUMNS + piece % 8 * 16
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
};

}  // namespace nibble

#endif  // NIBBLE_SKINNY_WIDE_CUH
