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
#include "packed_tile.cuh"
#include "shared_loads.cuh"
#include "stage_copy.cuh"
#include "x_parts.cuh"

namespace nibble {

static_assert(GEMV_TASK_COLUMNS == kTaskColumns, "a warp quantizes this many columns");

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

// A stage: codes, scales and zeros of an item, each as it lies in the matrix.
template <int kBits, int kRun>
struct Stage {
  static constexpr int kRows = Work<kBits, kRun>::kRows;
  static constexpr int kGroups = NIBBLE_COLUMN_BLOCK / kRun;
  static constexpr int kCodeBytes = kRows * NIBBLE_COLUMN_BLOCK / 8 * kBits;
  static constexpr int kZerosAt = kCodeBytes + 2 * kRows * kGroups;
  static constexpr int kBytes = kZerosAt + kRows * kGroups;
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

// Where things lie in dynamic shared memory; gemv_shared_bytes is their sum.
template <int kBits, int kRun, int kTokens>
struct SharedLayout {
  uint8_t* rings;
  // [column block][step of 32 columns][token][high, low][4 lanes][2 words]: operand B's registers.
  uint32_t* parts;
  // A column block's steps of zeros.
  uint32_t* zero_parts;
  // [run][token]{scale, sum}, the scale over and the sum times 2^kShift.
  float2* runs;
  // [task][token] sums of squares; once they are summed, task 0 holds 1 / root mean square.
  float* squares;
  // [tile][column block][token][row].
  float* partials;
  uint64_t* barriers;

  static constexpr int kStepWords = 16 * kTokens;
  static constexpr int kZeroWords = NIBBLE_COLUMN_BLOCK / 32 * kStepWords;
  // Sums are brought to the scale of the tile's highest field.
  static constexpr int kShift = Tile<kBits>::shift(Tile<kBits>::kChains - 1);

  __device__ SharedLayout(uint8_t* shared, const Work<kBits, kRun>& work, int warps) {
    const int stages = warps * work.args.stages;
    const int padded = work.blocks * NIBBLE_COLUMN_BLOCK;
    rings = shared;
    parts = reinterpret_cast<uint32_t*>(shared + stages * Stage<kBits, kRun>::kBytes);
    zero_parts = parts + padded / 32 * kStepWords;
    runs = reinterpret_cast<float2*>(zero_parts + kZeroWords);
    barriers = reinterpret_cast<uint64_t*>(runs + padded / kRun * kTokens);
    squares = reinterpret_cast<float*>(barriers + stages);
    partials = squares + padded / kTaskColumns * kTokens;
  }
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
  using Layout = SharedLayout<kBits, kRun, kTokens>;
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
