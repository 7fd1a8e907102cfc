// skinny.h's warpgroup kernels, for sm_90a and runs of 128 columns. An item of work is 64 rows, all
// tokens and one of the four chains of column blocks; a thread block keeps to one chain, whose tokens
// stay in shared memory if they fit. One warp copies tokens, two copy weights; each of the consuming
// warpgroups multiplies its items, whose weights come through a ring of its own, by its part of the
// tokens. It writes its sums to memory, and after its next item reads what the four blocks of the same
// rows wrote: each adds up a quarter of the outputs.
#ifndef NIBBLE_SKINNY_WGMMA_CUH
#define NIBBLE_SKINNY_WGMMA_CUH

#include "epilogue.cuh"
#include "skinny_stages.cuh"
#include "wgmma.cuh"

namespace nibble {

template <int kBits, SkinnyInput kInput, int kN>
class SkinnyWgmma : SkinnyStages<kBits, kInput, kN> {
  using Stages = SkinnyStages<kBits, kInput, kN>;
  using CodesOf = Codes<kBits>;
  using Stages::args_, Stages::shared_, Stages::x_full_, Stages::x_empty_, Stages::x_, Stages::runs_;
  using Stages::weights_, Stages::chain_, Stages::blocks_, Stages::pair_, Stages::row_blocks_;
  using Stages::resident_, Stages::runs_of, Stages::row_block, Stages::exists, Stages::takes;
  using Stages::taken_block, Stages::kParts, Stages::kTokenParts, Stages::kRunBytes;
  using Stages::kXBytes, Stages::kCodeBytes, Stages::kScaleBytes, Stages::kWeightBytes;
  static constexpr int kTiles = kN / 8 / kTokenParts;  // of 8 columns of B, for a warpgroup
  static constexpr int kOfTile = kParts ? 2 : 4;       // a lane's outputs of a tile
  static constexpr int kOutputs = kTiles * kOfTile;
  static constexpr int kMine = kOutputs / kChainCount;  // of them, that this chain completes
  static_assert(kMine == 1 || kMine == 2 || kMine == 4, "they are read at once");
  // Two runs' products where the registers last: one is made while the one before is scaled.
  static constexpr bool kOverlapped = kOutputs <= 8;

 public:
  using typename Stages::Shared;
  using Stages::kConsumers;
  using Stages::SkinnyStages;

  // The registers of a thread that copies, and of one that multiplies.
  template <int kCopyRegisters, int kMultiplyRegisters>
  __device__ __forceinline__ void run() {
    this->init();
    __syncthreads();
    start_next_kernel();
    const int group = threadIdx.x / kGroupThreads - 1, warp = threadIdx.x / 32 % kGroupWarps;
    const int lane = threadIdx.x % 32;
    if (group < 0) {
      asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCopyRegisters));
      if (warp == 0) this->copy_tokens(lane);
      if (warp >= 1 && warp <= kWeightWarps && lane == 0) this->copy_weights(warp - 1);
    } else {
      asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kMultiplyRegisters));
      wait_for_previous_kernel();
      multiply_items({group / kTokenParts, group % kTokenParts, warp, lane});
    }
  }

 private:
  struct Rows {
    float scale[2];
    int zero[2];
  };

  // Where a consuming warp is: whose weights it reads, its part of the tokens, 16 of the rows.
  struct Place {
    int ring, part, warp, lane;
  };

  // The consuming warpgroups.
  __device__ __forceinline__ void multiply_items(const Place& at) {
    if (at.ring >= args_.rings) return;
    // Codes in one run over all columns add up as integers.
    const bool one_run = !kParts && args_.group_size == 0;
    RingPlace x, weights;
    int before = -1;
    for (int item = at.ring; takes(item); item += args_.rings) {
      if (resident_) x = {};
      float sums[kOutputs];
      if (one_run) {
        add_codes(at, x, weights, sums);
      } else {
        Rows w = {{0.0f, 0.0f}, {1 << (kBits - 1), 1 << (kBits - 1)}};
        if (args_.group_size == 0) load_row_scales(item, at, w);
        add_runs(at, w, item == at.ring || !resident_, x, weights, sums);
      }
      if (!exists(item)) break;
      hand_over(item, at, sums);
      if (before >= 0) finish(before, at);
      before = item;
    }
    if (before >= 0) finish(before, at);
  }

  __device__ __forceinline__ int padded_row(int item, int warp) const {
    return taken_block(item) * NIBBLE_ROW_BLOCK + kSubtileRows * warp;
  }

  // One scale a row.
  __device__ __forceinline__ void load_row_scales(int item, const Place& at, Rows& w) const {
    const int row = padded_row(item, at.warp) + at.lane / 4;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      w.scale[h] = __half2float(static_cast<const __half*>(args_.scales)[row + 8 * h]);
      if (args_.zeros != nullptr) w.zero[h] = args_.zeros[row + 8 * h];
    }
  }

  // A group's, from a stage.
  __device__ __forceinline__ void load_group(Rows& w, const uint8_t* stage, int run, int runs,
                                             const Place& at) const {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int i = (at.warp * runs + run) * kSubtileRows + at.lane / 4 + 8 * h;
      w.scale[h] = __half2float(reinterpret_cast<const __half*>(stage + kCodeBytes)[i]);
      if (args_.zeros != nullptr) w.zero[h] = stage[kCodeBytes + kScaleBytes + i];
    }
  }

  __device__ __forceinline__ const uint8_t* weight_stage(const Place& at,
                                                         const RingPlace& weights) const {
    return weights_ + (at.ring * args_.weight_stages + weights.stage) * kWeightBytes;
  }

  __device__ __forceinline__ void load_codes(const uint8_t* stage, int run, int runs,
                                             const Place& at, CodesOf& codes) const {
    const auto* const chunks = reinterpret_cast<const uint4*>(
        stage + (at.warp * kSubtileRows / CodesOf::kTileRows * runs + run) * CodesOf::kRunBytes);
#pragma unroll
    for (int i = 0; i < CodesOf::kChunks; ++i) codes.set(i, chunks[i * NIBBLE_LANES + at.lane]);
  }

  // Starts the products of a run's columns with the tokens of a stage; a holds the run's codes until
  // they are there.
  __device__ __forceinline__ void start_run(const CodesOf& codes, const Place& at, int x_stage,
                                            bool add, uint32_t (&a)[4][4],
                                            int32_t (&products)[4 * kTiles]) const {
#pragma unroll
    for (int s = 0; s < 4; ++s) {
#pragma unroll
      for (int j = 0; j < 4; ++j) a[s][j] = codes.bytes(s, j, at.warp % 2 == 1);
    }
    const uint64_t tokens = rows_descriptor(shared_address(x_) + x_stage * kXBytes +
                                            at.part * (kXBytes / kTokenParts));
#pragma unroll
    for (int s = 0; s < 4; ++s) hold(a[s]);
    wgmma_fence();
#pragma unroll
    for (int s = 0; s < 4; ++s) {
      multiply_unsigned(products, a[s], advanced(tokens, 32 * s), add || s > 0);
    }
    wgmma_commit();
  }

  __device__ __forceinline__ void await_run(uint32_t (&a)[4][4],
                                            int32_t (&products)[4 * kTiles]) const {
    wgmma_wait<0>();
    hold(products);
#pragma unroll
    for (int s = 0; s < 4; ++s) hold(a[s]);
  }

  // of_x: the run's scales and sums of x.
  __device__ __forceinline__ void add_products(const int32_t (&products)[4 * kTiles],
                                               const Rows& w, const uint8_t* of_x,
                                               const Place& at, float (&sums)[kOutputs]) const {
    const int2* const tokens = reinterpret_cast<const int2*>(of_x) + 4 * kTiles * at.part +
                               at.lane % 4;
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
      const int2 bits = tokens[4 * n];
#pragma unroll
      for (int i = 0; i < kOfTile; ++i) {
        const int o = kOfTile * n + i, h = kParts ? i : i / 2;
        const int whole = kParts ? (products[2 * o] << 8) + products[2 * o + 1] : products[o];
        const int x_sum = kParts || i % 2 == 1 ? bits.y : bits.x;
        const float scale =
            kParts ? __fmul_rn(w.scale[h], __int_as_float(bits.x)) : w.scale[h];
        sums[o] = __fadd_rn(
            sums[o], __fmul_rn(scale, static_cast<float>(whole - w.zero[h] * x_sum)));
      }
    }
  }

  __device__ __forceinline__ void leave_tokens(int x_stage, int lane) const {
    if (resident_) return;
    __syncwarp();
    if (lane == 0) barrier_arrive(x_empty_ + 8 * x_stage);
  }

  __device__ __forceinline__ void leave_weights(const Place& at, RingPlace& weights) const {
    __syncwarp();
    if (at.lane == 0) barrier_arrive(&shared_.weights[at.ring].empty[weights.stage]);
    weights.advance(args_.weight_stages);
  }

  // A whole block of columns whose tokens stay, with every offset known.
  __device__ __forceinline__ void add_block(const Place& at, const Rows& of_rows, bool awaited,
                                            int first_x, const uint8_t* stage,
                                            float (&sums)[kOutputs]) const {
    int32_t products[2][4 * kTiles];
    Rows w = of_rows;
    CodesOf codes;
    uint32_t a[4][4];
    const uint8_t* const of_x = runs_ + first_x * kRunBytes;
    const auto start = [&](int run) {
      if (awaited) barrier_wait(x_full_ + 8 * (first_x + run), 0);
      start_run(codes, at, first_x + run, false, a, products[run % 2]);
    };
    load_codes(stage, 0, kBlockGroups, at, codes);
    start(0);
#pragma unroll
    for (int run = 0; run < kBlockGroups; ++run) {
      if (run + 1 < kBlockGroups) load_codes(stage, run + 1, kBlockGroups, at, codes);
      if (args_.group_size != 0) load_group(w, stage, run, kBlockGroups, at);
      await_run(a, products[run % 2]);
      if (run + 1 < kBlockGroups) start(run + 1);
      add_products(products[run % 2], w, of_x + run * kRunBytes, at, sums);
    }
  }

  // A block run by run.
  __device__ __forceinline__ void add_run_by_run(const Place& at, Rows& w, bool awaited, RingPlace& x,
                                           const uint8_t* stage, int runs,
                                           float (&sums)[kOutputs]) const {
    CodesOf codes;
    uint32_t a[4][4];
#pragma unroll 1
    for (int run = 0; run < runs; ++run) {
      int32_t products[4 * kTiles];
      load_codes(stage, run, runs, at, codes);
      if (args_.group_size != 0) load_group(w, stage, run, runs, at);
      if (awaited) barrier_wait(x_full_ + 8 * x.stage, x.phase);
      start_run(codes, at, x.stage, false, a, products);
      await_run(a, products);
      add_products(products, w, runs_ + x.stage * kRunBytes, at, sums);
      leave_tokens(x.stage, at.lane);
      x.advance(args_.x_stages);
    }
  }

  // The chain's sum in the order of gemv.h. awaited: whether tokens may not be there yet.
  __device__ __forceinline__ void add_runs(const Place& at, Rows& w, bool awaited, RingPlace& x,
                                           RingPlace& weights, float (&sums)[kOutputs]) const {
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) sums[o] = 0.0f;
#pragma unroll 1
    for (int block = chain_; block < blocks_; block += kChainCount) {
      const int runs = runs_of(block);
      const uint8_t* const stage = weight_stage(at, weights);
      barrier_wait(&shared_.weights[at.ring].full[weights.stage], weights.phase);
      float block_sums[kOutputs] = {};
      if (kOverlapped && resident_ && runs == kBlockGroups) {
        if constexpr (kOverlapped) add_block(at, w, awaited, x.stage, stage, block_sums);
        x.stage += kBlockGroups;
      } else {
        add_run_by_run(at, w, awaited, x, stage, runs, block_sums);
      }
      leave_weights(at, weights);
#pragma unroll
      for (int o = 0; o < kOutputs; ++o) sums[o] = __fadd_rn(sums[o], block_sums[o]);
    }
  }

  // The chain's sum of codes' products, as the bits of integers.
  __device__ __forceinline__ void add_codes(const Place& at, RingPlace& x, RingPlace& weights,
                                            float (&sums)[kOutputs]) const {
    if constexpr (!kParts) {
      int32_t products[4 * kTiles] = {};
      CodesOf codes;
      uint32_t a[4][4];
      for (int block = chain_; block < blocks_; block += kChainCount) {
        const int runs = runs_of(block);
        barrier_wait(&shared_.weights[at.ring].full[weights.stage], weights.phase);
#pragma unroll 1
        for (int run = 0; run < runs; ++run) {
          load_codes(weight_stage(at, weights), run, runs, at, codes);
          barrier_wait(x_full_ + 8 * x.stage, x.phase);
          start_run(codes, at, x.stage, true, a, products);
          await_run(a, products);
          leave_tokens(x.stage, at.lane);
          x.advance(args_.x_stages);
        }
        leave_weights(at, weights);
      }
#pragma unroll
      for (int o = 0; o < kOutputs; ++o) sums[o] = __int_as_float(products[o]);
    }
  }

  // Where a lane's sums of a chain lie that another one completes:
  // [64 rows][part][completing chain][warp][chain][lane][kMine].
  __device__ __forceinline__ uint32_t* chain_sums(int row_block, const Place& at, int completing,
                                                  int chain) const {
    const int64_t quarter =
        (static_cast<int64_t>(row_block) * kTokenParts + at.part) * kChainCount + completing;
    return args_.chain_sums +
           (((quarter * kGroupWarps + at.warp) * kChainCount + chain) * 32 + at.lane) * kMine;
  }

  __device__ __forceinline__ void hand_over(int item, const Place& at,
                                            const float (&sums)[kOutputs]) const {
    const int rows = row_block(item);
#pragma unroll
    for (int c = 0; c < kChainCount; ++c) {
      write_sums<kMine>(chain_sums(rows, at, c, chain_), sums + c * kMine);
    }
  }

  // A lane's share of an item, the chains added up.
  __device__ __forceinline__ void add_chains(int item, const Place& at,
                                             float (&values)[kMine]) const {
    float chains[kChainCount][kMine];
    take_sums(chain_sums(row_block(item), at, chain_, 0), at.lane, chains);
    const bool integers = !kParts && args_.group_size == 0;
#pragma unroll
    for (int i = 0; i < kMine; ++i) {
      values[i] = chains[0][i];
#pragma unroll
      for (int c = 1; c < kChainCount; ++c) {
        values[i] = integers ? __int_as_float(__float_as_int(values[i]) +
                                              __float_as_int(chains[c][i]))
                             : __fadd_rn(values[i], chains[c][i]);
      }
    }
  }

  // Of the i-th of a lane's outputs.
  __device__ __forceinline__ int token_of(int output, const Place& at) const {
    const int tile = kTiles * at.part + output / kOfTile;
    return kParts ? 4 * tile + at.lane % 4 : 8 * tile + at.lane % 4 * 2 + output % 2;
  }

  __device__ __forceinline__ int row_of(int output, const Place& at) const {
    return at.lane / 4 + 8 * (kParts ? output % 2 : output / 2 % 2);
  }

  // What a sum of all chains stands for. row: padded.
  __device__ __forceinline__ float scaled(float sum, int token, int row, float token_scale) const {
    if (!kParts) {
      if (args_.group_size == 0) {
        const int zero = args_.zeros == nullptr ? 1 << (kBits - 1) : args_.zeros[row];
        sum = __half2float(static_cast<const __half*>(args_.scales)[row]) *
              static_cast<float>(__float_as_int(sum) - zero * args_.sums[token]);
      }
      if (args_.token_zeros != nullptr) {
        sum -= load_fresh(args_.token_zeros + token) * args_.row_sums[row];
      }
    }
    return args_.token_scales == nullptr ? sum : __fmul_rn(sum, token_scale);
  }

  // Completes this chain's quarter of an item; with SwiGLU gate's and up's, the next item, at once.
  __device__ __forceinline__ void finish(int item, const Place& at) const {
    if (pair_ && item % 2 == 1) return;
    float token_scales[kMine];
#pragma unroll
    for (int i = 0; i < kMine; ++i) {
      const int token = token_of(chain_ * kMine + i, at);
      token_scales[i] = args_.token_scales != nullptr && token < args_.tokens
                            ? load_fresh(args_.token_scales + token)
                            : 1.0f;
    }
    const int padded = padded_row(item, at.warp);
    const int up_row = padded + row_blocks_ / 2 * NIBBLE_ROW_BLOCK;
    const OutputRow first = output_row(args_.segments, args_.segment_count, padded);
    const gemv_segment& segment = args_.segments[first.segment];
    float values[kMine], ups[kMine];
    add_chains(item, at, values);
    if (pair_) add_chains(item + 1, at, ups);
#pragma unroll
    for (int i = 0; i < kMine; ++i) {
      const int output = chain_ * kMine + i;
      const int token = token_of(output, at), row = row_of(output, at);
      if (token >= args_.tokens || first.row + row >= segment.rows) continue;
      const float value = scaled(values[i], token, padded + row, token_scales[i]);
      if (pair_) {
        const float up = scaled(ups[i], token, up_row + row, token_scales[i]);
        store_half(segment, token, first.row + row,
                   swiglu(with_bias(segment, token, first.row + row, value),
                          with_bias(args_.segments[1], token, first.row + row, up)));
      } else {
        store(segment, args_.epilogue, token, first.row + row, value);
      }
    }
  }
};

}  // namespace nibble

#define NIBBLE_SKINNY_WGMMA_KERNEL(bits, name, input, n)                                      \
  extern "C" __global__ void __launch_bounds__(                                               \
      SKINNY_WGMMA_THREADS(n, nibble::SkinnyInput::input == nibble::SkinnyInput::kParts), 1)  \
      skinny_w##bits##name##_wgmma_n##n(const __grid_constant__ skinny_args args) {           \
    using Kernel = nibble::SkinnyWgmma<bits, nibble::SkinnyInput::input, n>;                  \
    extern __shared__ uint8_t shared[];                                                       \
    __shared__ typename Kernel::Shared barriers;                                              \
    if constexpr (Kernel::kConsumers == 4) {                                                 \
      Kernel(args, shared, barriers).template run<40, 104>();                                 \
    } else {                                                                                  \
      Kernel(args, shared, barriers).template run<56, 152>();                                 \
    }                                                                                         \
  }

#define NIBBLE_SKINNY_WGMMA_KERNELS(bits)           \
  NIBBLE_SKINNY_WGMMA_KERNEL(bits, a16, kParts, 16)  \
  NIBBLE_SKINNY_WGMMA_KERNEL(bits, a16, kParts, 32)  \
  NIBBLE_SKINNY_WGMMA_KERNEL(bits, a16, kParts, 64)  \
  NIBBLE_SKINNY_WGMMA_KERNEL(bits, a16, kParts, 128) \
  NIBBLE_SKINNY_WGMMA_KERNEL(bits, a8, kCodes, 16)   \
  NIBBLE_SKINNY_WGMMA_KERNEL(bits, a8, kCodes, 32)   \
  NIBBLE_SKINNY_WGMMA_KERNEL(bits, a8, kCodes, 64)

#endif  // NIBBLE_SKINNY_WGMMA_CUH
