// See gemv.h. A block's work is a list of items, a tile's rows by a block of 512 columns each, that
// its warps take in turn. Each warp streams its own through its own ring of stages in shared memory:
// it fills the ring before the kernel waits for its input and refills each stage as it leaves it. No
// warp waits for another until the input is quantized and again until all sums are there.
//
// The 8 columns of an mma are the high and low parts of kTokens tokens in kSlots groups of columns:
// with one token four groups share a sum, each in its own pair of columns and with zeros in the
// other pairs, so that the arithmetic of four groups runs at once in all lanes.
#ifndef NIBBLE_GEMV_CUH
#define NIBBLE_GEMV_CUH

#include <cuda_fp16.h>

#include <cstdint>

#include "async_copy.cuh"
#include "epilogue.cuh"
#include "gemv.h"
#include "gemv_sum.cuh"
#include "stage_copy.cuh"

namespace nibble {

// The matrices of one launch as one matrix, and this block's share of its tiles.
template <int kBits, int kRun>
struct Work {
  static constexpr int kRows = 16 * Tile<kBits>::kSubtiles;
  static constexpr int kPerRowBlock = NIBBLE_ROW_BLOCK / kRows;

  const gemv_args& args;
  int columns;  // padded
  int blocks;   // of 512 columns, the last may be shorter
  int items;    // tiles, or pairs of them, of the whole grid
  int pair;     // 1 where gate's and up's tiles go together, else 0
  int tiles;    // of this block, at most
  bool grouped;

  __device__ explicit Work(const gemv_args& a) : args(a) {
    columns = static_cast<int>(nibble_padded_columns(a.columns));
    blocks = (columns + NIBBLE_COLUMN_BLOCK - 1) / NIBBLE_COLUMN_BLOCK;
    int rows = 0;
#pragma unroll 1
    for (int s = 0; s < a.segment_count; ++s) {
      rows += static_cast<int>(nibble_padded_rows(a.segments[s].rows));
    }
    pair = a.epilogue == GEMV_SWIGLU_F16;
    items = (rows / kRows) >> pair;
    const int grid = static_cast<int>(gridDim.x);
    const int mine = (items - static_cast<int>(blockIdx.x) + grid - 1) / grid;
    tiles = mine << pair;
    grouped = kRun < 128 || a.group_size != 0;
  }

  // The grid's tile that is this block's tile number `tile`.
  __device__ int grid_tile(int tile) const {
    return static_cast<int>(blockIdx.x) + (tile >> pair) * static_cast<int>(gridDim.x) +
           (tile & pair) * items;
  }

  __device__ int block_columns(int block) const {
    return min(NIBBLE_COLUMN_BLOCK, columns - block * NIBBLE_COLUMN_BLOCK);
  }

  // Groups of columns that a tile's rows have scales of in a column block.
  __device__ int block_groups(int block) const {
    return grouped ? block_columns(block) / kRun : 1;
  }
};

// An item of a block's list, and the way to the one that is `step` items later.
struct Position {
  int item, tile, block;

  __device__ __forceinline__ Position(int first, int blocks)
      : item(first), tile(first / blocks), block(first - tile * blocks) {}

  __device__ __forceinline__ void advance(int step, int step_tiles, int step_blocks, int blocks) {
    item += step;
    tile += step_tiles;
    block += step_blocks;
    if (block >= blocks) {
      block -= blocks;
      ++tile;
    }
  }
};

// Starts the copies of an item into a stage. The whole warp calls this.
template <int kBits, int kRun>
__device__ __forceinline__ void fill(const Work<kBits, kRun>& work, const Position& at, int lane,
                                     uint32_t stage, StageBarrier barrier, uint64_t policy) {
  using WorkOf = Work<kBits, kRun>;
  using StageOf = Stage<kBits, kRun>;
  constexpr int rows = WorkOf::kRows, subtiles = rows / NIBBLE_SUBTILE_ROWS;
#if NIBBLE_BULK_COPY
  if (lane == 0)
#endif
  {
    const gemv_args& args = work.args;
    const int grid_tile = work.grid_tile(at.tile);
    const int row_block = grid_tile / WorkOf::kPerRowBlock;
    const int subtile = grid_tile % WorkOf::kPerRowBlock * subtiles;
    const int width = work.block_columns(at.block), groups = work.block_groups(at.block);
    // In units of 16 bytes.
    const int codes = row_block * (NIBBLE_ROW_BLOCK / 8 * kBits * (work.columns / 16)) +
                      at.block * (NIBBLE_ROW_BLOCK / 8 * kBits * (NIBBLE_COLUMN_BLOCK / 16)) +
                      subtile * (NIBBLE_SUBTILE_ROWS / 8 * kBits) * (width / 16);
    // In groups of 16 rows.
    int scales = grid_tile * subtiles;
    if (work.grouped) {
      scales = row_block * (NIBBLE_ROW_BLOCK / 16 * (work.columns / kRun)) +
               at.block * (NIBBLE_ROW_BLOCK / 16 * StageOf::kGroups) + subtile * groups;
    }
    const uint32_t code_bytes = rows / 8 * kBits * width, zero_bytes = rows * groups;
    const bool zeros = args.zeros != nullptr;
    barrier.expect(code_bytes + (zeros ? 3 : 2) * zero_bytes);
    barrier.copy(stage, args.qweight + int64_t{codes} * 16, code_bytes, policy);
    barrier.copy(stage + StageOf::kCodeBytes,
                 static_cast<const uint8_t*>(args.scales) + int64_t{scales} * 32, 2 * zero_bytes,
                 policy);
    if (zeros) {
      barrier.copy(stage + StageOf::kZerosAt, args.zeros + int64_t{scales} * 16, zero_bytes,
                   policy);
    }
  }
  barrier.end_copies();
}

// Where things lie in dynamic shared memory; gemv_shared_bytes is at least their sum.
template <int kBits, int kRun, int kTokens>
struct SharedLayout : InputLayout<kBits, kTokens> {
  using Input = InputLayout<kBits, kTokens>;
  using Input::parts, Input::runs, Input::squares, Input::zero_parts;

  uint8_t* rings;
  // [tile][column block][token][row].
  float* partials;
  uint64_t* barriers;

  __device__ SharedLayout(uint8_t* shared, const Work<kBits, kRun>& work, int warps) {
    const int stages = warps * work.args.stages;
    const int padded = work.blocks * NIBBLE_COLUMN_BLOCK;
    rings = shared;
    parts = reinterpret_cast<uint32_t*>(shared + stages * Stage<kBits, kRun>::kBytes);
    zero_parts = parts + padded / 32 * Input::kStepWords;
    runs = reinterpret_cast<float2*>(zero_parts + Input::kZeroWords);
    barriers = reinterpret_cast<uint64_t*>(runs + padded / kRun * kTokens);
    squares = reinterpret_cast<float*>(barriers + stages);
    partials = squares + padded / kTaskColumns * kTokens;
  }
};

// Where an output of the block belongs: row `row` of a tile.
template <int kBits, int kRun>
__device__ __forceinline__ OutputRow output_of(const Work<kBits, kRun>& work, int tile, int row) {
  return output_row(work.args.segments, work.args.segment_count,
                    work.grid_tile(tile) * Work<kBits, kRun>::kRows + row);
}

// A thread's first output, prepared long before its sum is there.
template <int kBits, int kRun, int kTokens>
struct FirstOutput {
  OutputRow at;
  // What it adds to, or 0.
  float addend;

  __device__ __forceinline__ explicit FirstOutput(const Work<kBits, kRun>& work)
      : at{0, 0}, addend(0.0f) {
    constexpr int rows = Work<kBits, kRun>::kRows;
    const gemv_args& args = work.args;
    const int i = threadIdx.x, token = i / rows % kTokens;
    if (i >= (work.tiles >> work.pair) * kTokens * rows || token >= args.tokens) return;
    at = output_of(work, i / rows / kTokens << work.pair, i % rows);
    const gemv_segment& segment = args.segments[at.segment];
    if (args.epilogue == GEMV_ADD_F32 && at.row < segment.rows) {
      addend = load_fresh(static_cast<const float*>(segment.y) + token * segment.y_stride + at.row);
    }
  }
};

// Hands each row's sum to the epilogue.
template <int kBits, int kRun, int kTokens>
__device__ __forceinline__ void finish(const Work<kBits, kRun>& work,
                                       const SharedLayout<kBits, kRun, kTokens>& layout,
                                       const FirstOutput<kBits, kRun, kTokens>& first) {
  constexpr int rows = Work<kBits, kRun>::kRows;
  const gemv_args& args = work.args;
  const int outputs = (work.tiles >> work.pair) * kTokens * rows;
#pragma unroll 1
  for (int i = threadIdx.x; i < outputs; i += blockDim.x) {
    const int row = i % rows, token = i / rows % kTokens;
    const int tile = i / rows / kTokens << work.pair;
    if (token >= args.tokens) continue;
    const float rms = args.norm_weight == nullptr ? 1.0f : layout.squares[token];
    const int tile_floats = work.blocks * kTokens * rows;
    const float* const partial = layout.partials + tile * tile_floats + token * rows + row;
    const float value = __fmul_rn(sum_blocks(partial, work.blocks, kTokens * rows), rms);
    const bool is_first = i == static_cast<int>(threadIdx.x);
    const OutputRow out = is_first ? first.at : output_of(work, tile, row);
    const gemv_segment& segment = args.segments[out.segment];
    if (out.row >= segment.rows) continue;
    if (work.pair) {
      const float up =
          __fmul_rn(sum_blocks(partial + tile_floats, work.blocks, kTokens * rows), rms);
      store_half(segment, token, out.row,
                 swiglu(with_bias(segment, token, out.row, value),
                        with_bias(args.segments[1], token, out.row, up)));
    } else if (args.epilogue == GEMV_ADD_F32 && is_first) {
      static_cast<float*>(segment.y)[token * segment.y_stride + out.row] =
          __fadd_rn(first.addend, with_bias(segment, token, out.row, value));
    } else {
      store(segment, args.epilogue, token, out.row, value);
    }
  }
}

template <int kBits, int kRun, int kTokens>
__device__ __forceinline__ void gemv(const gemv_args& args) {
  using Format = Tile<kBits>;
  using Sum = BlockSum<kBits, kRun, kTokens>;
  using StageOf = Stage<kBits, kRun>;
  using Layout = SharedLayout<kBits, kRun, kTokens>;
  constexpr int rows = StageOf::kRows;
  extern __shared__ __align__(16) uint8_t shared[];
  // Known to be the same in all lanes.
  const int warp = __shfl_sync(kAllLanes, threadIdx.x / 32, 0);
  const int lane = threadIdx.x % 32, warps = blockDim.x / 32;
  const Work<kBits, kRun> work(args);
  const Layout layout(shared, work, warps);

  // At once: the next kernel's rings fill while this one works. On an H200 a llama-2-7b step of four
  // bits takes 1.48 ms so, 1.60 ms if they start after the wait, 1.52 after the last fill, 1.75 at
  // the end.
  start_next_kernel();

  const int stages = args.stages, blocks = work.blocks;
  const uint32_t ring = shared_address(layout.rings) + warp * stages * StageOf::kBytes;
  const uint32_t barriers = shared_address(layout.barriers + warp * stages);
  const uint64_t policy = read_once_policy();
  const int end = work.tiles * blocks;
  const int step_tiles = warps / blocks, step_blocks = warps - step_tiles * blocks;
  if (lane < stages) StageBarrier{barriers + 8 * lane}.init();
  __syncwarp();
  // What is copied next.
  Position next(warp, blocks);
#pragma unroll 1
  for (int stage = 0; stage < stages && next.item < end; ++stage) {
    fill(work, next, lane, ring + stage * StageOf::kBytes, {barriers + 8 * stage}, policy);
    next.advance(warps, step_tiles, step_blocks, blocks);
  }

  quantize_x<kRun, kTokens>(args, layout, blocks, warp, warps, lane);
  __syncthreads();
  // For finish: the last warp has no more to do than any other, and may have less.
  if (args.norm_weight != nullptr && warp == warps - 1 && lane < kTokens) {
    layout.squares[lane] =
        reciprocal_rms(layout.squares + lane, blocks * (NIBBLE_COLUMN_BLOCK / kTaskColumns),
                       kTokens, args.columns, args.epsilon);
  }

  const FirstOutput<kBits, kRun, kTokens> first_output(work);

  const int g = lane / 4, t = lane % 4;
  // As a column of B: slot, token, high or low. As a column pair of C: slot and token.
  const int b_slot = g / 2 / kTokens, b_token = g / 2 % kTokens;
  const int c_slot = t / kTokens, c_token = t % kTokens;
  constexpr int block_part_bytes = 4 * (NIBBLE_COLUMN_BLOCK / 32) * Layout::kStepWords;
  constexpr int block_run_bytes = StageOf::kGroups * kTokens * 8;
  const int b_byte = 4 * (b_token * 16 + g % 2 * 8 + t * 2);
  const uint32_t lane_parts = shared_address(layout.parts) + b_byte;
  const uint32_t lane_zeros = shared_address(layout.zero_parts) + b_byte;
  const uint32_t lane_runs = shared_address(layout.runs + c_slot * kTokens + c_token);
  const bool zeros = args.zeros != nullptr;
  float* partials = layout.partials + warp * (kTokens * rows) + c_token * rows + g;

  int stage = 0, phase = 0;
  int block = warp % blocks;
#pragma unroll 1
  for (int item = warp; item < end; item += warps) {
    const uint32_t bytes = ring + stage * StageOf::kBytes;
    const uint32_t block_parts = lane_parts + block * block_part_bytes;
    const uint32_t runs = lane_runs + block * block_run_bytes;
    const int groups = work.block_groups(block);
    const StageBarrier barrier = {barriers + 8 * stage};
    barrier.wait(phase);
    Sum sum;
    sum.clear_values();
#pragma unroll
    for (int first = 0; first < NIBBLE_COLUMN_BLOCK; first += Sum::kSpan) {
      sum.clear_sums();
      sum.add_products(bytes + lane * NIBBLE_LANE_BYTES, block_parts, lane_zeros, first, b_slot);
      // The group whose sums this lane holds; past the last one they are zeros.
      const int group = min(first / kRun + c_slot, groups - 1);
      sum.add_group(Sum::load_weights(bytes, group, groups, g, zeros),
                    load_shared_8(runs + first / kRun * (kTokens * 8)),
                    first / Sum::kSpan % Sum::kInterleaved);
    }
    __syncwarp();
    if (next.item < end) {
      fill(work, next, lane, bytes, barrier, policy);
      next.advance(warps, step_tiles, step_blocks, blocks);
    }
#pragma unroll
    for (int r = 0; r < Format::kSubtiles; ++r) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const float value = sum.total(r, h);
        if (c_slot == 0) partials[16 * r + 8 * h] = value;
      }
    }
    partials += warps * (kTokens * rows);
    block += step_blocks;
    if (block >= blocks) block -= blocks;
    if (++stage == stages) {
      stage = 0;
      phase ^= 1;
    }
  }
  __syncthreads();
  finish<kBits, kRun, kTokens>(work, layout, first_output);
}

}  // namespace nibble

#define NIBBLE_GEMV_KERNEL(bits, run, tokens)                                             \
  extern "C" __global__ void __launch_bounds__(32 * GEMV_MAX_WARPS, tokens < 4 ? 2 : 1)   \
      gemv_w##bits##_g##run##_m##tokens(const __grid_constant__ gemv_args args) {         \
    nibble::gemv<bits, run, tokens>(args);                                                \
  }

#define NIBBLE_GEMV_KERNELS(bits)   \
  NIBBLE_GEMV_KERNEL(bits, 32, 1)   \
  NIBBLE_GEMV_KERNEL(bits, 32, 2)   \
  NIBBLE_GEMV_KERNEL(bits, 32, 4)   \
  NIBBLE_GEMV_KERNEL(bits, 64, 1)   \
  NIBBLE_GEMV_KERNEL(bits, 64, 2)   \
  NIBBLE_GEMV_KERNEL(bits, 64, 4)   \
  NIBBLE_GEMV_KERNEL(bits, 128, 1)  \
  NIBBLE_GEMV_KERNEL(bits, 128, 2)  \
  NIBBLE_GEMV_KERNEL(bits, 128, 4)

#endif  // NIBBLE_GEMV_CUH
