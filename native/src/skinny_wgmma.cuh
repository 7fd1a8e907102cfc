// skinny.h's warpgroup kernels, for sm_90a and runs of 128 columns. An item of work is 128 rows, all
// tokens and one of the four chains of column blocks; a thread block keeps to one chain, whose tokens
// stay in shared memory if they fit. One warp copies tokens, two copy weights; each of the consuming
// warpgroups multiplies 64 rows by its part of the tokens. It writes its sums to memory, and after its
// next item reads what the four chains wrote: each of them adds up a quarter of the outputs.
#ifndef NIBBLE_SKINNY_WGMMA_CUH
#define NIBBLE_SKINNY_WGMMA_CUH

#include "cluster_copy.cuh"
#include "epilogue.cuh"
#include "gemm_weights.cuh"
#include "skinny_rows.cuh"
#include "warpgroup_sync.cuh"
#include "wgmma.cuh"

namespace nibble {

constexpr int kChainCount = SKINNY_CHAINS;
constexpr int kGroupWarps = 4;
constexpr int kRowHalves = 2;  // of an item, 64 rows each
constexpr int kBlockGroups = NIBBLE_COLUMN_BLOCK / kUnitColumns;

template <int kBits, SkinnyInput kInput, int kN, int kTokenParts>
class SkinnyWgmma {
  static constexpr bool kParts = kInput == SkinnyInput::kParts;
  static constexpr int kConsumers = kRowHalves * kTokenParts;  // warpgroups
  static constexpr int kTiles = kN / 8 / kTokenParts;  // of 8 columns of B, for a warpgroup
  static constexpr int kOfTile = kParts ? 2 : 4;       // a lane's outputs of a tile
  static constexpr int kOutputs = kTiles * kOfTile;
  static constexpr int kMine = kOutputs / kChainCount;  // of them, that this chain completes
  static_assert(kMine == 1 || kMine == 2 || kMine == 4, "they are read at once");
  static constexpr int kTokens = kParts ? kN / 2 : kN;
  static constexpr int kRunBytes = kTokens * (kParts ? 8 : 4);
  static constexpr int kXBytes = kN * GEMM_TILE_ROW_BYTES;
  static constexpr int kCodeBytes = NIBBLE_ROW_BLOCK / 8 * NIBBLE_COLUMN_BLOCK * kBits;
  static constexpr int kScaleBytes = 2 * NIBBLE_ROW_BLOCK * kBlockGroups;
  static constexpr int kZeroBytes = NIBBLE_ROW_BLOCK * kBlockGroups;
  static constexpr int kWeightBytes = kCodeBytes + kScaleBytes + kZeroBytes;
  using CodesOf = Codes<kBits>;

 public:
  struct Shared {
    Barriers<SKINNY_X_STAGES> x;
    Barriers<SKINNY_WEIGHT_STAGES> weights[kRowHalves];
  };
  static_assert(sizeof(Shared) <= SKINNY_STATIC_BYTES, "the launcher leaves no more");

  __device__ __forceinline__ SkinnyWgmma(const skinny_args& args, uint8_t* dynamic,
                                         Shared& shared)
      : args_(args),
        shared_(shared),
        x_full_(shared_address(shared.x.full)),
        x_empty_(shared_address(shared.x.empty)),
        x_(dynamic + (-shared_address(dynamic) & (SKINNY_ALIGNMENT - 1))),
        runs_(x_ + args.x_stages * kXBytes),
        weights_(runs_ + args.x_stages * kRunBytes),
        chain_(blockIdx.x % kChainCount),
        columns_(static_cast<int>(nibble_padded_columns(args.columns))),
        blocks_((columns_ + NIBBLE_COLUMN_BLOCK - 1) / NIBBLE_COLUMN_BLOCK),
        pair_(args.epilogue == GEMV_SWIGLU_F16) {
    int rows = 0;
    for (int s = 0; s < args.segment_count; ++s) {
      rows += static_cast<int>(nibble_padded_rows(args.segments[s].rows));
    }
    row_blocks_ = rows / NIBBLE_ROW_BLOCK;
    tiles_ = pair_ ? row_blocks_ / 2 : (row_blocks_ + 1) / 2;
    int runs = 0;
    for (int b = chain_; b < blocks_; b += kChainCount) runs += runs_of(b);
    resident_ = runs <= args.x_stages;
  }

  template <int kCopyRegisters, int kMultiplyRegisters>
  __device__ __forceinline__ void run() {
    if (threadIdx.x == 0) init();
    __syncthreads();
    start_next_kernel();
    if (threadIdx.x < kGroupThreads) {
      asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCopyRegisters));
      const int warp = threadIdx.x / 32;
      if (warp == 0) copy_tokens();
      if (warp > 0 && warp <= kRowHalves && threadIdx.x == 32 * warp) copy_weights(warp - 1);
    } else {
      asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kMultiplyRegisters));
      wait_for_previous_kernel();
      multiply_tiles();
    }
  }

 private:
  const skinny_args& args_;
  Shared& shared_;
  // Known once: the compiler finds a barrier's address anew at each use.
  const uint32_t x_full_, x_empty_;
  uint8_t* const x_;
  uint8_t* const runs_;
  uint8_t* const weights_;
  const int chain_, columns_, blocks_;
  const bool pair_;
  int row_blocks_, tiles_;
  bool resident_;

  __device__ __forceinline__ void init() {
    for (int i = 0; i < args_.x_stages; ++i) {
      // Sums of codes come by the copying warp's lanes.
      barrier_init(&shared_.x.full[i], kParts ? 1 : 33);
      barrier_init(&shared_.x.empty[i], kGroupWarps * kConsumers);
    }
    for (int half = 0; half < kRowHalves; ++half) {
      for (int i = 0; i < args_.weight_stages; ++i) {
        barrier_init(&shared_.weights[half].full[i], 1);
        barrier_init(&shared_.weights[half].empty[i], kGroupWarps * kTokenParts);
      }
    }
    barrier_init_visible();
  }

  __device__ __forceinline__ int runs_of(int block) const {
    return min(kBlockGroups, columns_ / kUnitColumns - block * kBlockGroups);
  }

  __device__ __forceinline__ int first_tile() const { return blockIdx.x / kChainCount; }
  __device__ __forceinline__ int tile_step() const { return gridDim.x / kChainCount; }

  // The 64 rows of half an item, or row_blocks_ if there are none.
  __device__ __forceinline__ int row_block(int tile, int half) const {
    return pair_ ? tile + half * tiles_ : 2 * tile + half;
  }

  // One warp.
  __device__ __forceinline__ void copy_tokens() {
    const int lane = threadIdx.x % 32;
    const int rows = kParts ? 2 * args_.tokens : args_.tokens;
    const int64_t stride = nibble_tiled_tokens(rows) * GEMM_TILE_ROW_BYTES;
    const bool grouped = !kParts && args_.group_size != 0;
    RingPlace place;
    wait_for_previous_kernel();
    for (int tile = first_tile(); tile < tiles_; tile += tile_step()) {
      for (int block = chain_; block < blocks_; block += kChainCount) {
        const int runs = runs_of(block);
        for (int r = 0; r < runs; ++r) {
          const int run = block * kBlockGroups + r;
          uint64_t* const full = &shared_.x.full[place.stage];
          uint8_t* const to = runs_ + place.stage * kRunBytes;
          if (!resident_) barrier_wait(&shared_.x.empty[place.stage], place.phase ^ 1);
          if (lane == 0) {
            const int run_bytes = kParts ? args_.run_stride * 8 : 0;
            barrier_expect(full, rows * GEMM_TILE_ROW_BYTES + run_bytes);
            copy(x_ + place.stage * kXBytes, args_.x + run * stride, rows * GEMM_TILE_ROW_BYTES,
                 full);
            if (kParts) {
              copy(to, static_cast<const uint8_t*>(args_.runs) + static_cast<int64_t>(run) * run_bytes,
                   run_bytes, full);
            }
          }
          if constexpr (!kParts) {
            const int groups = (args_.columns + kUnitColumns - 1) / kUnitColumns;
            for (int token = lane; token < args_.tokens && grouped && run < groups; token += 32) {
              asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(
                               shared_address(to) + 4 * token),
                           "l"(args_.sums + static_cast<int64_t>(token) * groups + run)
                           : "memory");
            }
            asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(
                             shared_address(full))
                         : "memory");
          }
          __syncwarp();
          place.advance(args_.x_stages);
        }
      }
      if (resident_) break;
    }
    if (!kParts) asm volatile("cp.async.wait_all;" ::: "memory");
  }

  // One thread.
  __device__ __forceinline__ void copy_weights(int half) {
    const uint64_t policy = read_once_policy();
    RingPlace place;
    for (int tile = first_tile(); tile < tiles_; tile += tile_step()) {
      // Rows past the last are the last ones again: what is made of them is not stored.
      const int64_t rows = min(row_block(tile, half), row_blocks_ - 1);
      for (int block = chain_; block < blocks_; block += kChainCount) {
        const int runs = runs_of(block);
        uint64_t* const full = &shared_.weights[half].full[place.stage];
        uint8_t* const to =
            weights_ + (half * args_.weight_stages + place.stage) * kWeightBytes;
        barrier_wait(&shared_.weights[half].empty[place.stage], place.phase ^ 1);
        const int code_bytes = NIBBLE_ROW_BLOCK / 8 * kBits * (runs * kUnitColumns);
        const int scales = args_.group_size == 0 ? 0 : NIBBLE_ROW_BLOCK * runs;
        const bool zeros = args_.zeros != nullptr;
        barrier_expect(full, code_bytes + scales * (zeros ? 3 : 2));
        copy(to,
             args_.qweight + rows * nibble_row_block_bytes(kBits, columns_) + block * kCodeBytes,
             code_bytes, full, policy);
        if (scales != 0) {
          const int64_t at = rows * nibble_row_block_scales(columns_, kUnitColumns) +
                             block * (NIBBLE_ROW_BLOCK * kBlockGroups);
          copy(to + kCodeBytes, static_cast<const uint8_t*>(args_.scales) + 2 * at, 2 * scales,
               full, policy);
          if (zeros) {
            copy(to + kCodeBytes + kScaleBytes, args_.zeros + at, scales, full, policy);
          }
        }
        place.advance(args_.weight_stages);
      }
    }
  }

  struct Rows {
    float scale[2];
    int zero[2];
  };

  // Where a consuming warp is: rows of half an item, part of the tokens.
  struct Place {
    int group, half, part, warp, lane;
  };

  // The consuming warpgroups.
  __device__ __forceinline__ void multiply_tiles() {
    const int group = threadIdx.x / kGroupThreads - 1;
    const Place at = {group, group % kRowHalves, group / kRowHalves,
                      static_cast<int>(threadIdx.x / 32 % kGroupWarps),
                      static_cast<int>(threadIdx.x % 32)};
    // Codes in one run over all columns add up as integers.
    const bool one_run = !kParts && args_.group_size == 0;
    RingPlace x, weights;
    int before = -1;
    for (int tile = first_tile(); tile < tiles_; tile += tile_step()) {
      if (resident_) x = {};
      float sums[kOutputs];
      if (one_run) {
        add_codes(at, x, weights, sums);
      } else {
        Rows w = {{0.0f, 0.0f}, {1 << (kBits - 1), 1 << (kBits - 1)}};
        if (args_.group_size == 0) load_row_scales(tile, at, w);
        add_runs(at, w, x, weights, sums);
      }
      hand_over(tile, at, sums);
      if (before >= 0) complete(before, at);
      before = tile;
    }
    if (before >= 0) complete(before, at);
  }

  __device__ __forceinline__ int padded_row(int tile, const Place& at) const {
    return min(row_block(tile, at.half), row_blocks_ - 1) * NIBBLE_ROW_BLOCK +
           kSubtileRows * at.warp;
  }

  // One scale a row.
  __device__ __forceinline__ void load_row_scales(int tile, const Place& at, Rows& w) const {
    const int row = padded_row(tile, at) + at.lane / 4;
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
    return weights_ + (at.half * args_.weight_stages + weights.stage) * kWeightBytes;
  }

  // The products of a run's columns with the tokens of x's stage.
  __device__ __forceinline__ void multiply_run(const uint8_t* stage, int run, int runs,
                                               const Place& at, const RingPlace& x, bool add,
                                               int32_t (&products)[4 * kTiles]) const {
    const auto* const chunks = reinterpret_cast<const uint4*>(
        stage + (at.warp * kSubtileRows / CodesOf::kTileRows * runs + run) * CodesOf::kRunBytes);
    CodesOf codes;
#pragma unroll
    for (int i = 0; i < CodesOf::kChunks; ++i) codes.set(i, chunks[i * NIBBLE_LANES + at.lane]);
    uint32_t a[4][4];
#pragma unroll
    for (int s = 0; s < 4; ++s) {
#pragma unroll
      for (int j = 0; j < 4; ++j) a[s][j] = codes.bytes(s, j, at.warp % 2 == 1);
    }
    barrier_wait(x_full_ + 8 * x.stage, x.phase);
    const uint64_t tokens = rows_descriptor(shared_address(x_) + x.stage * kXBytes +
                                            at.part * (kXBytes / kTokenParts));
#pragma unroll
    for (int s = 0; s < 4; ++s) hold(a[s]);
    wgmma_fence();
#pragma unroll
    for (int s = 0; s < 4; ++s) multiply_unsigned(products, a[s], tokens + 2 * s, add || s > 0);
    wgmma_commit();
    wgmma_wait<0>();
    hold(products);
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

  __device__ __forceinline__ void leave_tokens(RingPlace& x, int lane) const {
    if (!resident_) {
      __syncwarp();
      if (lane == 0) barrier_arrive(x_empty_ + 8 * x.stage);
    }
    x.advance(args_.x_stages);
  }

  __device__ __forceinline__ void leave_weights(const Place& at, RingPlace& weights) const {
    __syncwarp();
    if (at.lane == 0) barrier_arrive(&shared_.weights[at.half].empty[weights.stage]);
    weights.advance(args_.weight_stages);
  }

  // The chain's sum in the order of gemv.h.
  __device__ __forceinline__ void add_runs(const Place& at, Rows& w, RingPlace& x,
                                           RingPlace& weights, float (&sums)[kOutputs]) const {
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) sums[o] = 0.0f;
    for (int block = chain_; block < blocks_; block += kChainCount) {
      const int runs = runs_of(block);
      const uint8_t* const stage = weight_stage(at, weights);
      barrier_wait(&shared_.weights[at.half].full[weights.stage], weights.phase);
      float block_sums[kOutputs] = {};
#pragma unroll 1
      for (int run = 0; run < runs; ++run) {
        int32_t products[4 * kTiles];
        if (args_.group_size != 0) load_group(w, stage, run, runs, at);
        multiply_run(stage, run, runs, at, x, false, products);
        add_products(products, w, runs_ + x.stage * kRunBytes, at, block_sums);
        leave_tokens(x, at.lane);
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
      for (int block = chain_; block < blocks_; block += kChainCount) {
        const int runs = runs_of(block);
        barrier_wait(&shared_.weights[at.half].full[weights.stage], weights.phase);
#pragma unroll 1
        for (int run = 0; run < runs; ++run) {
          multiply_run(weight_stage(at, weights), run, runs, at, x, true, products);
          leave_tokens(x, at.lane);
        }
        leave_weights(at, weights);
      }
#pragma unroll
      for (int o = 0; o < kOutputs; ++o) sums[o] = __int_as_float(products[o]);
    }
  }

  // Where a lane's sums of a chain lie that another one completes:
  // [tile][chain][half][part][completing chain][thread][kMine].
  __device__ __forceinline__ float* chain_sums(int tile, int chain, int half, int part,
                                               int completing) const {
    const int64_t warpgroup =
        ((static_cast<int64_t>(tile) * kChainCount + chain) * kRowHalves + half) * kTokenParts +
        part;
    return static_cast<float*>(args_.chain_sums) +
           ((warpgroup * kChainCount + completing) * kGroupThreads +
            threadIdx.x % kGroupThreads) *
               kMine;
  }

  // What counts the warpgroups that have written their sums of an item, and then those that have read
  // them. With SwiGLU both halves of the rows go together.
  __device__ __forceinline__ uint32_t* counter(int tile, const Place& at) const {
    return args_.arrivals + (static_cast<int64_t>(tile) * kTokenParts + at.part) * kRowHalves +
           (pair_ ? 0 : at.half);
  }

  __device__ __forceinline__ uint32_t writers() const {
    return pair_ ? kChainCount * kRowHalves : kChainCount;
  }

  __device__ __forceinline__ void hand_over(int tile, const Place& at,
                                            const float (&sums)[kOutputs]) const {
#pragma unroll
    for (int c = 0; c < kChainCount; ++c) {
      float* const to = chain_sums(tile, chain_, at.half, at.part, c);
      if constexpr (kMine == 4) {
        __stcg(reinterpret_cast<float4*>(to),
               make_float4(sums[4 * c], sums[4 * c + 1], sums[4 * c + 2], sums[4 * c + 3]));
      } else if constexpr (kMine == 2) {
        __stcg(reinterpret_cast<float2*>(to), make_float2(sums[2 * c], sums[2 * c + 1]));
      } else {
        __stcg(to, sums[c]);
      }
    }
    sync_warpgroup(at.group);
    if (threadIdx.x % kGroupThreads == 0) count(counter(tile, at));
  }

  // Completes this chain's share of an item.
  __device__ __forceinline__ void complete(int tile, const Place& at) const {
    uint32_t* const arrived = counter(tile, at);
    if (threadIdx.x % kGroupThreads == 0) wait_for_count(arrived, writers());
    sync_warpgroup(at.group);
    if (!pair_) {
      finish(tile, at);
    } else if (at.half == 0) {
      finish_pair(tile, at);
    }
    sync_warpgroup(at.group);
    if (threadIdx.x % kGroupThreads == 0 && count(arrived) + 1 == 2 * writers()) *arrived = 0;
  }

  // A lane's share of an item, the chains added up.
  __device__ __forceinline__ void add_chains(int tile, int half, const Place& at,
                                             float (&values)[kMine]) const {
    float chains[kChainCount][kMine];
#pragma unroll
    for (int c = 0; c < kChainCount; ++c) {
      const float* const from = chain_sums(tile, c, half, at.part, chain_);
      if constexpr (kMine == 4) {
        const float4 four = __ldcg(reinterpret_cast<const float4*>(from));
        chains[c][0] = four.x, chains[c][1] = four.y, chains[c][2] = four.z, chains[c][3] = four.w;
      } else if constexpr (kMine == 2) {
        const float2 two = __ldcg(reinterpret_cast<const float2*>(from));
        chains[c][0] = two.x, chains[c][1] = two.y;
      } else {
        chains[c][0] = __ldcg(from);
      }
    }
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
  __device__ __forceinline__ float scaled(float sum, int token, int row) const {
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
    return args_.token_scales == nullptr
               ? sum
               : __fmul_rn(sum, load_fresh(args_.token_scales + token));
  }

  __device__ __forceinline__ void finish(int tile, const Place& at) const {
    if (row_block(tile, at.half) >= row_blocks_) return;
    const int padded = padded_row(tile, at);
    const OutputRow first = output_row(args_.segments, args_.segment_count, padded);
    const gemv_segment& segment = args_.segments[first.segment];
    float values[kMine];
    add_chains(tile, at.half, at, values);
#pragma unroll
    for (int i = 0; i < kMine; ++i) {
      const int output = chain_ * kMine + i;
      const int token = token_of(output, at), row = row_of(output, at);
      if (token >= args_.tokens || first.row + row >= segment.rows) continue;
      store(segment, args_.epilogue, token, first.row + row,
            scaled(values[i], token, padded + row));
    }
  }

  // The first half's warpgroups have gate's rows.
  __device__ __forceinline__ void finish_pair(int tile, const Place& at) const {
    const int gate_row = padded_row(tile, at);
    const int up_row = gate_row + tiles_ * NIBBLE_ROW_BLOCK;
    const gemv_segment& segment = args_.segments[0];
    float gates[kMine], ups[kMine];
    add_chains(tile, 0, at, gates);
    add_chains(tile, 1, at, ups);
#pragma unroll
    for (int i = 0; i < kMine; ++i) {
      const int output = chain_ * kMine + i;
      const int token = token_of(output, at), row = row_of(output, at);
      if (token >= args_.tokens || gate_row + row >= segment.rows) continue;
      const float gate = scaled(gates[i], token, gate_row + row);
      const float up = scaled(ups[i], token, up_row + row);
      store_half(segment, token, gate_row + row,
                 swiglu(with_bias(segment, token, gate_row + row, gate),
                        with_bias(args_.segments[1], token, gate_row + row, up)));
    }
  }
};

}  // namespace nibble

// parts: warpgroups that share 64 rows' tokens; blocks: of a multiprocessor.
#define NIBBLE_SKINNY_WGMMA_KERNEL(bits, name, input, n, parts, blocks, copying, multiplying) \
  extern "C" __global__ void __launch_bounds__(128 + 256 * parts, blocks)                     \
      skinny_w##bits##name##_wgmma_n##n(const __grid_constant__ skinny_args args) {           \
    using Kernel = nibble::SkinnyWgmma<bits, nibble::SkinnyInput::input, n, parts>;           \
    extern __shared__ uint8_t shared[];                                                       \
    __shared__ typename Kernel::Shared barriers;                                              \
    Kernel(args, shared, barriers).template run<copying, multiplying>();                      \
  }

#define NIBBLE_SKINNY_WGMMA_KERNELS(bits)                             \
  NIBBLE_SKINNY_WGMMA_KERNEL(bits, a16, kParts, 16, 1, 2, 32, 104)    \
  NIBBLE_SKINNY_WGMMA_KERNEL(bits, a16, kParts, 32, 1, 2, 32, 104)    \
  NIBBLE_SKINNY_WGMMA_KERNEL(bits, a16, kParts, 64, 1, 2, 32, 104)    \
  NIBBLE_SKINNY_WGMMA_KERNEL(bits, a16, kParts, 128, 2, 1, 32, 112)   \
  NIBBLE_SKINNY_WGMMA_KERNEL(bits, a8, kCodes, 16, 1, 2, 32, 104)     \
  NIBBLE_SKINNY_WGMMA_KERNEL(bits, a8, kCodes, 32, 1, 2, 32, 104)     \
  NIBBLE_SKINNY_WGMMA_KERNEL(bits, a8, kCodes, 64, 2, 1, 32, 112)

#endif  // NIBBLE_SKINNY_WGMMA_CUH
