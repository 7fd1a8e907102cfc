// dense_gemv of many tokens and rows. Each warp has 16 rows and goes through all columns, a class after
// the other (dense_gemv.h); so the warps of a block need the same columns of x at the same time, which
// they share in shared memory, a block of columns ahead.
#ifndef NIBBLE_DENSE_BATCH_CUH
#define NIBBLE_DENSE_BATCH_CUH

#include "async_copy.cuh"
#include "dense_gemv.h"
#include "dense_tile.cuh"
#include "epilogue.cuh"

namespace nibble {

constexpr int kBatchTokens = DENSE_GEMV_MAX_TOKENS;
constexpr int kBatchPitch = kBlockColumns + kPadding;
constexpr int kBlockPieces = kBlockColumns / 32;
constexpr int kAhead = 4;  // pieces of weights under way
static_assert(2 * kBatchTokens * kBatchPitch * 2 == DENSE_BATCH_SHARED_BYTES, "two stages of x");

// Blocks of columns in the order of classes; a class ends where its next block would be past the last.
struct ColumnBlocks {
  int count;

  __device__ __forceinline__ bool ends_class(int block) const { return block + kClasses >= count; }

  // The one after a block, or -1.
  __device__ __forceinline__ int after(int block) const {
    if (!ends_class(block)) return block + kClasses;
    const int next = block % kClasses + 1;
    return next < min(count, kClasses) ? next : -1;
  }
};

// Starts copying a block of columns of x: fp16 [64][kBatchPitch], zeros past the last token and column.
__device__ __forceinline__ void copy_x(const dense_gemv_args& args, int block, __half* stage) {
  constexpr int chunks = kBlockColumns / 8;
  for (int i = threadIdx.x; i < kBatchTokens * chunks; i += 32 * DENSE_BATCH_WARPS) {
    const int token = i / chunks, column = block * kBlockColumns + i % chunks * 8;
    const bool there = token < args.tokens && column < args.columns;
    const __half* from = static_cast<const __half*>(args.x) +
                         (there ? token * args.x_stride + column : 0);
    const int bytes = there ? min(args.columns - column, 8) * 2 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                     shared_address(stage + token * kBatchPitch + i % chunks * 8)),
                 "l"(from), "r"(bytes)
                 : "memory");
  }
}

// Adds 16 rows times 32 columns of x to the sums of 64 tokens.
template <class Type>
__device__ __forceinline__ void multiply_piece(float (&sums)[kBatchTokens / 8][4], const uint4& low,
                                               const uint4& high, const __half* x) {
#pragma unroll
  for (int n = 0; n < kBatchTokens / 8; ++n) {
    const uint4 b = *reinterpret_cast<const uint4*>(x + 8 * n * kBatchPitch);
    multiply(sums[n], Type::halves(low.x), Type::halves(high.x), Type::halves(low.y),
             Type::halves(high.y), b.x, b.y);
    multiply(sums[n], Type::halves(low.z), Type::halves(high.z), Type::halves(low.w),
             Type::halves(high.w), b.z, b.w);
  }
}

template <class Type>
__device__ __forceinline__ void dense_batch(const dense_gemv_args& args) {
  extern __shared__ __align__(16) uint8_t shared[];
  __half* const x = reinterpret_cast<__half*>(shared);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const Tiles tiles(args);
  const bool whole = aligned_weights(args);
  const ColumnBlocks blocks = {(args.columns + kBlockColumns - 1) / kBlockColumns};
  // With SwiGLU the second half of the warps have the rows of up.
  const int parts = 1 + tiles.pair, part = warp * parts / DENSE_BATCH_WARPS;
  const int items = (tiles.items * parts + DENSE_BATCH_WARPS - 1) / DENSE_BATCH_WARPS;

  for (int item = blockIdx.x; item < items; item += gridDim.x) {
    const int tile = item * (DENSE_BATCH_WARPS / parts) + warp % (DENSE_BATCH_WARPS / parts);
    const bool idle = tile >= tiles.items;
    const OutputRow at = tiles.locate(min(tile, tiles.items - 1), part);
    const gemv_segment& segment = args.segments[at.segment];
    const uint16_t* rows[2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      rows[h] = static_cast<const uint16_t*>(args.weights[at.segment]) +
                min(at.row + g + 8 * h, segment.rows - 1) * args.weight_stride;
    }
    uint4 low[kAhead], high[kAhead];
    const auto load = [&](int slot, int column) {
      if (idle) return;
      low[slot] = load_weights(rows[0], column + 8 * t, args.columns, whole);
      high[slot] = load_weights(rows[1], column + 8 * t, args.columns, whole);
    };
#pragma unroll
    for (int p = 0; p < kAhead; ++p) load(p, 32 * p);
    if (item == static_cast<int>(blockIdx.x)) {
      wait_for_previous_kernel();
      start_next_kernel();
    }

    float totals[kBatchTokens / 8][4], sums[kBatchTokens / 8][4] = {};
    copy_x(args, 0, x);
    asm volatile("cp.async.commit_group;" ::: "memory");
    int stage = 0;
#pragma unroll 1
    for (int block = 0; block >= 0; stage ^= 1) {
      const int next = blocks.after(block);
      if (next >= 0) copy_x(args, next, x + (stage ^ 1) * kBatchTokens * kBatchPitch);
      asm volatile("cp.async.commit_group;\n cp.async.wait_group 1;" ::: "memory");
      __syncthreads();
      const __half* const lane_x = x + (stage * kBatchTokens + g) * kBatchPitch + 8 * t;
#pragma unroll
      for (int p = 0; p < kBlockPieces; ++p) {
        if (!idle) multiply_piece<Type>(sums, low[p % kAhead], high[p % kAhead], lane_x + 32 * p);
        if (p + kAhead < kBlockPieces) {
          load(p % kAhead, block * kBlockColumns + 32 * (p + kAhead));
        } else if (next >= 0) {
          load(p % kAhead, next * kBlockColumns + 32 * (p + kAhead - kBlockPieces));
        }
      }
      if (blocks.ends_class(block)) {
#pragma unroll
        for (int n = 0; n < kBatchTokens / 8; ++n) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            totals[n][i] =
                block % kClasses == 0 ? sums[n][i] : __fadd_rn(totals[n][i], sums[n][i]);
            sums[n][i] = 0.0f;
          }
        }
      }
      __syncthreads();
      block = next;
    }

    // Up's rows meet gate's.
    float* const ups = reinterpret_cast<float*>(shared) +
                       warp % (DENSE_BATCH_WARPS / 2) * kBatchTokens * kRows;
    const auto each = [&](auto put) {
#pragma unroll
      for (int n = 0; n < kBatchTokens / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int token = 8 * n + 2 * t + i % 2, row = g + i / 2 * 8;
          if (token < args.tokens) put(token, row, totals[n][i]);
        }
      }
    };
    if (part == 1) {
      each([&](int token, int row, float value) { ups[token * kRows + row] = value; });
    }
    if (tiles.pair) __syncthreads();
    if (part == 0 && !idle) {
      each([&](int token, int row, float value) {
        if (at.row + row >= segment.rows) return;
        if (tiles.pair) {
          store_half(segment, token, at.row + row,
                     swiglu(with_bias(segment, token, at.row + row, value),
                            with_bias(args.segments[1], token, at.row + row,
                                      ups[token * kRows + row])));
        } else {
          store(segment, args.epilogue, token, at.row + row, value);
        }
      });
    }
    __syncthreads();
  }
}

}  // namespace nibble

#endif  // NIBBLE_DENSE_BATCH_CUH
