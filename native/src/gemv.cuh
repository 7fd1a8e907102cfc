// See gemv.h. Each warp streams its own work: a tile's rows by a block of 512 columns at a time,
// taken in turn from the block's share of the matrix, through its own ring of stages in shared
// memory. A stage holds the codes, scales and zeros of half a column block; one lane fills the ring
// before the kernel waits for its input and refills each stage as the warp leaves it. No warp waits
// for another until the input is quantized and again until all sums are there.
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
#include "packed_tile.cuh"
#include "x_parts.cuh"

namespace nibble {

static_assert(GEMV_TASK_COLUMNS == kTaskColumns, "a warp quantizes this many columns");
// gemv_stage_columns
constexpr int stage_columns(int bits) { return bits == 2 ? 512 : 256; }

// The matrices of one launch as one matrix, and this block's share of its tiles.
template <int kBits, int kRun>
struct Work {
  static constexpr int kRows = 16 * Tile<kBits>::kSubtiles;
  static constexpr int kPerRowBlock = NIBBLE_ROW_BLOCK / kRows;

  const gemv_args& args;
  int columns;      // padded
  int row_block_bytes, row_block_groups;
  int blocks;       // of 512 columns, the last may be shorter
  int items;        // tiles, or pairs of them, of the whole grid
  int pair;         // 1 where gate's and up's tiles go together, else 0
  int tiles;        // of this block, at most
  bool grouped;

  __device__ explicit Work(const gemv_args& a) : args(a) {
    columns = static_cast<int>(nibble_padded_columns(a.columns));
    blocks = (columns + NIBBLE_COLUMN_BLOCK - 1) / NIBBLE_COLUMN_BLOCK;
    row_block_bytes = static_cast<int>(nibble_row_block_bytes(kBits, columns));
    row_block_groups = NIBBLE_ROW_BLOCK / 16 * (columns / kRun);
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

  // First byte of a tile's codes in a column block of `width` columns; they are contiguous.
  __device__ const uint8_t* codes(int grid_tile, int block, int width) const {
    return args.qweight + static_cast<int64_t>(grid_tile / kPerRowBlock) * row_block_bytes +
           (block * (NIBBLE_ROW_BLOCK * NIBBLE_COLUMN_BLOCK / 8 * kBits) +
            grid_tile % kPerRowBlock * (kRows / 8 * kBits) * width);
  }

  // First scales (and zeros) of a tile's first subtile in a column block, in groups' 16 rows.
  __device__ int first_group(int grid_tile, int block, int width) const {
    return grid_tile / kPerRowBlock * row_block_groups +
           block * (NIBBLE_ROW_BLOCK / 16 * NIBBLE_COLUMN_BLOCK / kRun) +
           grid_tile % kPerRowBlock * (kRows / 16) * (width / kRun);
  }
};

// A lane's part in copying a stage's scales and zeros: 16 bytes of either, or nothing.
template <int kBits, int kRun>
struct ScaleCopy {
  static constexpr int kSubtiles = Tile<kBits>::kSubtiles;
  static constexpr int kGroups = stage_columns(kBits) / kRun;  // of a stage
  static constexpr int kScalePieces = 2 * kGroups * kSubtiles;
  static constexpr int kPieces = kScalePieces + kGroups * kSubtiles;

  const uint8_t* from;  // what group 0 of its subtile has for this lane
  int group_bytes;
  int subtile;
  int first_group;      // of the stage, that has these bytes, doubled
  uint32_t to;

  __device__ ScaleCopy(const gemv_args& args, int piece) {
    const bool zero = piece >= kScalePieces;
    const int in_kind = zero ? piece - kScalePieces : piece;
    const int of_subtile = zero ? kGroups : 2 * kGroups;
    subtile = kSubtiles == 1 ? 0 : in_kind / of_subtile;
    const int offset = in_kind - subtile * of_subtile;
    from = (zero ? args.zeros : static_cast<const uint8_t*>(args.scales)) + 16 * offset;
    group_bytes = zero ? 16 : 32;
    first_group = zero ? 2 * offset : offset;
    if (piece >= kPieces || (zero && args.zeros == nullptr)) first_group = 2 * kGroups;
    to = 16 * piece;
  }

  __device__ void start(int first, int groups, int block_groups, uint32_t stage,
                        CopyBarrier barrier) const {
    const int group = kSubtiles == 1 ? first : first + subtile * block_groups;
    if (first_group < 2 * groups) {
      barrier.copy16(stage + to, from + static_cast<int64_t>(group) * group_bytes);
    }
  }
};

// What goes into one stage: a column block of one tile, or half of it.
template <int kBits, int kRun>
struct Fill {
  using Format = Tile<kBits>;
  using WorkOf = Work<kBits, kRun>;
  static constexpr int kRows = WorkOf::kRows;
  using Scales = ScaleCopy<kBits, kRun>;
  static constexpr int kColumns = stage_columns(kBits);
  static constexpr int kGroups = kColumns / kRun;
  static constexpr int kCodeBytes = kRows * kColumns / 8 * kBits;
  static constexpr int kScaleBytes = 2 * kRows * kGroups;
  static constexpr int kBytes = kCodeBytes + kScaleBytes + kRows * kGroups;

  const uint8_t* codes;
  // Where its scales start, in groups' 16 rows.
  int group;
  // Columns that the matrix has here (0 past its end), and in the whole column block.
  uint16_t columns, block_columns;

  // Bytes of a stage. Without groups it holds codes alone.
  static __device__ int stage_bytes(bool grouped) { return grouped ? kBytes : kCodeBytes; }

  // Part `part` of the thread block's item number `item`: its tiles by column blocks.
  __device__ void plan(const WorkOf& work, int item, int part) {
    const int tile = item / work.blocks, block = item % work.blocks;
    const int width = work.block_columns(block);
    const int grid_tile = work.grid_tile(tile);
    columns = tile < work.tiles ? max(min(kColumns, width - part * kColumns), 0) : 0;
    block_columns = width;
    codes = work.codes(grid_tile, block, width) + part * kCodeBytes;
    group = work.first_group(grid_tile, block, width) + part * kGroups;
  }

  // Starts the copies of what lane `planner` has planned.
  __device__ void start(const WorkOf& work, const Scales& scales, int planner, int lane,
                        uint32_t stage, CopyBarrier barrier, uint64_t policy) const {
#if NIBBLE_BULK_COPY
    if (lane == planner) {
      barrier.bulk_copy(stage, codes, kRows / 8 * kBits * columns, policy);
    }
#else
    const int columns_here = __shfl_sync(kAllLanes, columns, planner);
    const auto from = __shfl_sync(kAllLanes, reinterpret_cast<unsigned long long>(codes), planner);
    barrier.bulk_copy(stage, reinterpret_cast<const uint8_t*>(from),
                      kRows / 8 * kBits * columns_here, policy);
#endif
    if (work.grouped) {
      const uint32_t widths = __shfl_sync(kAllLanes, columns | block_columns << 16, planner);
      const int first = __shfl_sync(kAllLanes, group, planner);
      const int groups = (widths & 0xffff) / kRun, block_groups = (widths >> 16) / kRun;
      scales.start(first, groups, block_groups, stage + kCodeBytes, barrier);
      // Two subtiles of groups of 32 have more pieces than lanes.
      if constexpr (Scales::kPieces > 32) {
        Scales(work.args, lane + 32)
            .start(first, groups, block_groups, stage + kCodeBytes, barrier);
      }
    }
    barrier.arrive_when_copied();
  }
};

// Where things lie in dynamic shared memory; gemv_shared_bytes is their sum.
template <int kBits, int kRun, int kTokens>
struct SharedLayout {
  uint8_t* rings;
  // [column block][step of 32 columns][token][high, low][4 lanes][2 words]: operand B's registers.
  uint32_t* parts;
  // A run's steps of zeros.
  uint32_t* zero_parts;
  // [run][token]{scale, sum}, the scale over and the sum times 2^kShift.
  float2* runs;
  // [task][token] sums of squares; once they are summed, task 0 holds 1 / root mean square.
  float* squares;
  // [tile][column block][token][row].
  float* partials;
  uint64_t* barriers;

  static constexpr int kStepWords = 16 * kTokens;
  static constexpr int kZeroWords = kRun / 32 * kStepWords;
  // Sums are brought to the scale of the tile's highest field.
  static constexpr int kShift = Tile<kBits>::shift(Tile<kBits>::kChains - 1);

  __device__ SharedLayout(uint8_t* shared, const Work<kBits, kRun>& work, int warps) {
    const int stages = warps * work.args.stages;
    const int padded = work.blocks * NIBBLE_COLUMN_BLOCK;
    rings = shared;
    parts = reinterpret_cast<uint32_t*>(
        shared + stages * Fill<kBits, kRun>::stage_bytes(work.grouped));
    zero_parts = parts + padded / 32 * kStepWords;
    runs = reinterpret_cast<float2*>(zero_parts + kZeroWords);
    barriers = reinterpret_cast<uint64_t*>(runs + padded / kRun * kTokens);
    squares = reinterpret_cast<float*>(barriers + stages);
    partials = squares + padded / kTaskColumns * kTokens;
  }
};

// Quantizes x into shared memory, the columns past the last as zeros.
template <int kRun, int kTokens, class Layout>
__device__ __forceinline__ void quantize_x(const gemv_args& args, const Layout& layout, int blocks,
                                           int warp, int warps, int lane) {
  for (int i = threadIdx.x; i < Layout::kZeroWords; i += blockDim.x) layout.zero_parts[i] = 0;
  const int tasks = blocks * (NIBBLE_COLUMN_BLOCK / kTaskColumns);
#pragma unroll 1
  for (int i = warp; i < tasks * kTokens; i += warps) {
    const int task = i / kTokens, token = i % kTokens;
    const int first = task * kTaskColumns + lane * kLaneColumns;
    LaneColumns x = {};
    if (token < args.tokens) {
      if (args.norm_weight == nullptr) {
        load_halves(static_cast<const __half*>(args.x) + token * args.x_stride, first,
                    args.columns, x.values);
      } else {
        x = load_weighted(static_cast<const float*>(args.x) + token * args.x_stride,
                          args.norm_weight, args.channel_order, first, args.columns);
        const float sum = warp_sum(x.square_sum);
        if (lane == 0) layout.squares[task * kTokens + token] = sum;
      }
    }
    const XParts parts = quantize<kRun>(x.values);
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
}

// Sums over 512 columns of a tile's rows, in a lane rows lane / 4 + 8 h of each subtile.
template <int kBits, int kRun, int kTokens>
struct BlockSum {
  using Format = Tile<kBits>;
  using StageOf = Fill<kBits, kRun>;
  using Layout = SharedLayout<kBits, kRun, kTokens>;
  static constexpr int kSlots = 4 / kTokens;            // groups that share an accumulator
  static constexpr int kInterleaved = 4 / kSlots;       // of the four interleaved sums, in a lane
  static constexpr int kSpan = kSlots * kRun;           // columns of an accumulator
  static constexpr bool kWhole = kSpan == NIBBLE_COLUMN_BLOCK;
  static constexpr int kParts = NIBBLE_COLUMN_BLOCK / StageOf::kColumns;  // stages of a block
  static constexpr int kStageSpan = kSpan < StageOf::kColumns ? kSpan : StageOf::kColumns;
  static constexpr int kTileColumns = 32 * Format::kSteps;
  static constexpr int kRunSteps = kRun / 32;
  static_assert(kSpan <= StageOf::kColumns || kWhole, "a sum fits a stage or is the whole block");

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

  // Products of columns [first, first + kStageSpan) of a stage. `parts` is the lane's column of
  // operand B at the stage's first step; its group is slot `slot` of those that share a sum, and in
  // the others' steps the lane has `zeros`. Columns past the last are zeros in B, whatever the
  // stage holds there.
  __device__ void add_products(const uint8_t* stage, const uint32_t* parts, const uint32_t* zeros,
                               int first, int first_in_block, int slot, int lane) {
    constexpr int tiles = kStageSpan < kTileColumns ? 1 : kStageSpan / kTileColumns;
#pragma unroll
    for (int k = 0; k < tiles; ++k) {
      const int tile = first / kTileColumns + k;
      uint4 chunks[Format::kChunks];
#pragma unroll
      for (int c = 0; c < Format::kChunks; ++c) {
        chunks[c] = *reinterpret_cast<const uint4*>(
            stage + (tile * Format::kChunks + c) * NIBBLE_CHUNK_BYTES + lane * NIBBLE_LANE_BYTES);
      }
      Fragments<kBits> fragments;
      unpack<kBits>(chunks, fragments);
#pragma unroll
      for (int s = 0; s < Format::kSteps; ++s) {
        const int step = tile * Format::kSteps + s;
        if (step * 32 >= first && step * 32 < first + kStageSpan) {
          const int run = step / kRunSteps, step_in_run = step % kRunSteps;
          const bool mine =
              kSlots == 1 || (first_in_block / kRun + run) % kSlots == slot;
          const uint32_t* const column =
              mine ? parts + run * kRunSteps * Layout::kStepWords : zeros;
          const uint2 b =
              *reinterpret_cast<const uint2*>(column + step_in_run * Layout::kStepWords);
#pragma unroll
          for (int r = 0; r < Format::kSubtiles; ++r) {
            const int fragment = r * Format::kSteps + s;
            multiply(sums[r][Format::chain(fragment, step)], fragments[fragment], b.x, b.y);
          }
        }
      }
    }
  }

  // Scales and zeros of a group of a stage, if it is there.
  static __device__ void load_weights(const uint8_t* stage, int group, bool there, int row,
                                      bool zeros, Weights& w) {
#pragma unroll
    for (int r = 0; r < Format::kSubtiles; ++r) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int at = (r * StageOf::kGroups + group) * 16 + row + 8 * h;
        const __half scale =
            *reinterpret_cast<const __half*>(stage + StageOf::kCodeBytes + 2 * at);
        w.scale[r][h] = there ? __half2float(scale) : w.scale[r][h];
        if (zeros) {
          const int zero = stage[StageOf::kCodeBytes + StageOf::kScaleBytes + at];
          w.zero[r][h] = there ? zero : w.zero[r][h];
        }
      }
    }
  }

  // Turns the sums of one group into its product and adds that to an interleaved sum.
  __device__ void add_group(const Weights& w, float2 run, int interleaved) {
    const int x_sum = __float_as_int(run.y);
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
            __fmaf_rn(__fmul_rn(w.scale[r][h], run.x), static_cast<float>(product),
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

// Adds up the column blocks and hands each row to the epilogue.
template <int kBits, int kRun, int kTokens>
__device__ __forceinline__ void finish(const Work<kBits, kRun>& work,
                                       const SharedLayout<kBits, kRun, kTokens>& layout) {
  constexpr int rows = Work<kBits, kRun>::kRows;
  const gemv_args& args = work.args;
  const int outputs = (work.tiles >> work.pair) * kTokens * rows;
#pragma unroll 1
  for (int i = threadIdx.x; i < outputs; i += blockDim.x) {
    const int row = i % rows, token = i / rows % kTokens;
    const int tile = i / rows / kTokens << work.pair;
    if (token >= args.tokens) continue;
    const float rms = args.norm_weight == nullptr ? 1.0f : layout.squares[token];
    float values[2];
#pragma unroll 1
    for (int part = 0; part <= work.pair; ++part) {
      const float* partial =
          layout.partials + (((tile + part) * work.blocks) * kTokens + token) * rows + row;
      float chains[4] = {};
#pragma unroll 2
      for (int block = 0; block < work.blocks; block += 4) {
#pragma unroll
        for (int c = 0; c < 4; ++c) {
          if (block + c < work.blocks) {
            chains[c] = __fadd_rn(chains[c], partial[(block + c) * kTokens * rows]);
          }
        }
      }
      const float value =
          __fadd_rn(__fadd_rn(__fadd_rn(chains[0], chains[1]), chains[2]), chains[3]);
      values[part] = __fmul_rn(value, rms);
    }
    const OutputRow out =
        output_row(args.segments, args.segment_count, work.grid_tile(tile) * rows + row);
    const gemv_segment& segment = args.segments[out.segment];
    if (out.row >= segment.rows) continue;
    if (work.pair) {
      store_half(segment, token, out.row,
                 swiglu(with_bias(segment, token, out.row, values[0]),
                        with_bias(args.segments[1], token, out.row, values[1])));
    } else {
      store(segment, args.epilogue, token, out.row, values[0]);
    }
  }
}

template <int kBits, int kRun, int kTokens>
__device__ __forceinline__ void gemv(const gemv_args& args) {
  using Format = Tile<kBits>;
  using Sum = BlockSum<kBits, kRun, kTokens>;
  using FillOf = Fill<kBits, kRun>;
  extern __shared__ __align__(16) uint8_t shared[];
  // Known to be the same in all lanes.
  const int warp = __shfl_sync(kAllLanes, threadIdx.x / 32, 0);
  const int lane = threadIdx.x % 32, warps = blockDim.x / 32;
  const Work<kBits, kRun> work(args);
  using Layout = SharedLayout<kBits, kRun, kTokens>;
  const Layout layout(shared, work, warps);

  const int stages = args.stages;
  const int stage_bytes = FillOf::stage_bytes(work.grouped);
  uint8_t* const ring = layout.rings + warp * stages * stage_bytes;
  const uint32_t ring_address = shared_address(ring);
  const uint32_t barriers = shared_address(layout.barriers + warp * stages);
  const uint64_t policy = read_once_policy();
  // This warp's items: warp, warp + warps, ...
  const int items = max((work.tiles * work.blocks - warp + warps - 1) / warps, 0);

  // At once: the next kernel's rings fill while this one works. It saves 0 to 1.3 us against doing
  // so after the wait (H200, chains of one shape).
  start_next_kernel();

  // The ring's writing end: lane l plans and starts the fills l, l + 32, ...
  FillOf fill;
  const typename FillOf::Scales scales(args, lane);
  const int fills = items * Sum::kParts;
  int filled = 0, fill_stage = 0;
  const auto fill_next = [&] {
    if (filled >= fills) return;
    const int planner = filled % 32;
    if (planner == 0) {
      const int next = filled + lane;
      fill.plan(work, warp + next / Sum::kParts * warps, next % Sum::kParts);
    }
    fill.start(work, scales, planner, lane, ring_address + fill_stage * stage_bytes,
               {barriers + 8 * fill_stage}, policy);
    ++filled;
    if (++fill_stage == stages) fill_stage = 0;
  };
  if (lane < stages) CopyBarrier{barriers + 8 * lane}.init();
  __syncwarp();
#pragma unroll 1
  for (int s = 0; s < stages; ++s) fill_next();

  wait_for_previous_kernel();
  quantize_x<kRun, kTokens>(args, layout, work.blocks, warp, warps, lane);
  __syncthreads();
  // For finish: the last warp has no more to do than any other, and may have less.
  if (args.norm_weight != nullptr && warp == warps - 1 && lane < kTokens) {
    layout.squares[lane] =
        reciprocal_rms(layout.squares + lane, work.blocks * (NIBBLE_COLUMN_BLOCK / kTaskColumns),
                       kTokens, args.columns, args.epsilon);
  }

  const int g = lane / 4, t = lane % 4;
  // As a column of B: slot, token, high or low. As a column pair of C: slot and token.
  const int b_slot = g / 2 / kTokens, b_token = g / 2 % kTokens;
  const int c_slot = t / kTokens, c_token = t % kTokens;
  const int b_word = b_token * 16 + g % 2 * 8 + t * 2;
  const uint32_t* const lane_parts = layout.parts + b_word;
  const uint32_t* const lane_zeros = layout.zero_parts + b_word;
  const float2* const lane_runs = layout.runs + c_token;
  float* const lane_partials = layout.partials + c_token * Work<kBits, kRun>::kRows + g;
  const bool zeros = args.zeros != nullptr;

  int stage = 0, phase = 0;
  int block = warp % work.blocks;
  const int block_step = warps % work.blocks;
  const int end = work.tiles * work.blocks;
#pragma unroll 1
  for (int item = warp; item < end; item += warps) {
    const int width = work.block_columns(block);
    const uint32_t* const block_parts =
        lane_parts + block * (NIBBLE_COLUMN_BLOCK / 32 * Layout::kStepWords);
    const float2* const runs = lane_runs + block * (NIBBLE_COLUMN_BLOCK / kRun * kTokens);
    typename Sum::Weights w;
#pragma unroll
    for (int r = 0; r < Format::kSubtiles; ++r) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        w.scale[r][h] = 0.0f;
        w.zero[r][h] = 1 << (kBits - 1);
        if (!work.grouped) {
          const int row =
              work.grid_tile(item / work.blocks) * Work<kBits, kRun>::kRows + 16 * r + g + 8 * h;
          w.scale[r][h] = __half2float(static_cast<const __half*>(args.scales)[row]);
          if (zeros) w.zero[r][h] = args.zeros[row];
        }
      }
    }
    Sum sum;
    sum.clear_values();
#pragma unroll
    for (int part = 0; part < Sum::kParts; ++part) {
      const uint8_t* const bytes = ring + stage * stage_bytes;
      CopyBarrier{barriers + 8 * stage}.wait(phase);
#pragma unroll
      for (int first = 0; first < FillOf::kColumns; first += Sum::kStageSpan) {
        if (!Sum::kWhole || part == 0) sum.clear_sums();
        sum.add_products(bytes, block_parts + part * (FillOf::kColumns / 32 * Layout::kStepWords),
                         lane_zeros, first, part * FillOf::kColumns, b_slot, lane);
        // The group of this stage whose sums this lane holds, if this stage has it.
        constexpr int groups = FillOf::kGroups;
        const int group = Sum::kWhole ? c_slot % groups : first / kRun + c_slot;
        const bool there = (part * groups + group) * kRun < width &&
                           (!Sum::kWhole || c_slot / groups == part);
        if (work.grouped) Sum::load_weights(bytes, group, there, g, zeros, w);
        if (!Sum::kWhole) {
          sum.add_group(w, runs[(part * groups + group) * kTokens],
                        (part * FillOf::kColumns + first) / Sum::kSpan % Sum::kInterleaved);
        }
      }
      __syncwarp();
      fill_next();
      if (++stage == stages) {
        stage = 0;
        phase ^= 1;
      }
    }
    if (Sum::kWhole) sum.add_group(w, runs[c_slot * kTokens], 0);

    float* const partials = lane_partials + item * (kTokens * Work<kBits, kRun>::kRows);
#pragma unroll
    for (int r = 0; r < Format::kSubtiles; ++r) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const float value = sum.total(r, h);
        if (c_slot == 0) partials[16 * r + 8 * h] = value;
      }
    }
    block += block_step;
    if (block >= work.blocks) block -= work.blocks;
  }
  __syncthreads();
  finish<kBits, kRun, kTokens>(work, layout);
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
