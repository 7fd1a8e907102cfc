// What becomes of the accumulators of a product of gemm.h. A warp has 16 rows and blocks of 8
// tokens; of a block, lane l has rows l / 4 and l / 4 + 8 and tokens 2 (l mod 4) and one more.
#ifndef NIBBLE_GEMM_OUTPUT_CUH
#define NIBBLE_GEMM_OUTPUT_CUH

#include <cuda_fp16.h>

#include "gemm.h"

namespace nibble {

// Transposes an 8 x 8 matrix of fp16 held by a warp, two neighbours of a row in each lane.
__device__ __forceinline__ uint32_t transpose(uint32_t pair) {
  uint32_t out;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(out) : "r"(pair));
  return out;
}

// Where a lane stores fp16: two neighbouring rows of a token, twice 8 rows apart.
class HalfRows {
 public:
  __device__ __forceinline__ HalfRows(const gemm_args& args, int first_row, int first_token,
                                      int lane)
      : tokens_(args.tokens - first_token - lane / 4),
        rows_(args.rows - first_row - lane % 4 * 2),
        stride_(args.y_stride),
        y_(static_cast<__half*>(args.y) + (first_token + lane / 4) * args.y_stride + first_row +
           lane % 4 * 2) {}

  __device__ __forceinline__ void add_old(int, float (&)[4]) const {}

  // values: of rows l / 4 and l / 4 + 8, tokens of a block.
  __device__ __forceinline__ void store(int block, const float (&values)[4]) const {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const __half2 pair = __floats2half2_rn(values[2 * j], values[2 * j + 1]);
      const uint32_t rows = transpose(*reinterpret_cast<const uint32_t*>(&pair));
      __half* y = y_ + 8 * block * stride_ + 8 * j;
      if (8 * block < tokens_) {
        if (8 * j + 1 < rows_) {
          *reinterpret_cast<uint32_t*>(y) = rows;
        } else if (8 * j < rows_) {
          *y = __ushort_as_half(static_cast<unsigned short>(rows));
        }
      }
    }
  }

 private:
  int tokens_, rows_;
  int64_t stride_;
  __half* y_;
};

// Where a lane stores fp32: two rows 8 apart of two neighbouring tokens.
class FloatRows {
 public:
  __device__ __forceinline__ FloatRows(const gemm_args& args, int first_row, int first_token,
                                       int lane)
      : add_(args.epilogue == GEMM_ADD_F32),
        tokens_(args.tokens - first_token - lane % 4 * 2),
        rows_(args.rows - first_row - lane / 4),
        stride_(args.y_stride),
        y_(static_cast<float*>(args.y) + (first_token + lane % 4 * 2) * args.y_stride + first_row +
           lane / 4) {}

  // What is there already, where the product is added to it.
  __device__ __forceinline__ void add_old(int block, float (&values)[4]) const {
    if (!add_) return;
    const float* y = y_ + 8 * block * stride_;
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      if (is_here(block, e)) values[e] = y[e % 2 * stride_ + e / 2 * 8] + values[e];
    }
  }

  __device__ __forceinline__ void store(int block, const float (&values)[4]) const {
    float* y = y_ + 8 * block * stride_;
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      if (is_here(block, e)) y[e % 2 * stride_ + e / 2 * 8] = values[e];
    }
  }

 private:
  __device__ __forceinline__ bool is_here(int block, int e) const {
    return 8 * block + e % 2 < tokens_ && e / 2 * 8 < rows_;
  }

  bool add_;
  int tokens_, rows_;
  int64_t stride_;
  float* y_;
};

template <int kCount, bool kScaled, class Rows, class SumOf>
__device__ __forceinline__ void store_blocks(const gemm_args& args, const Rows& rows,
                                             const SumOf& sum_of, int first_row, int first_token,
                                             int lane) {
  float bias[2] = {}, row_sum[2] = {};
#pragma unroll
  for (int j = 0; j < 2; ++j) {
    const int row = first_row + lane / 4 + 8 * j;
    if (row < args.rows) {
      if (args.bias != nullptr) bias[j] = args.bias[row];
      if (kScaled && args.token_zeros != nullptr) row_sum[j] = args.row_sums[row];
    }
  }
  // A store may alias a load for all the compiler knows, so loads of some blocks come before their
  // stores: latency once for all of them.
  constexpr int kTogether = 4;
  static_assert(kCount / 4 % kTogether == 0, "no block is left over");
#pragma unroll
  for (int first = 0; first < kCount / 4; first += kTogether) {
    float values[kTogether][4];
#pragma unroll
    for (int b = 0; b < kTogether; ++b) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int i = first + b;
        float scale = 1.0f, zero = 0.0f;
        if (kScaled) {
          const int token = min(first_token + 8 * i + lane % 4 * 2 + e, args.tokens - 1);
          scale = args.token_scales[token];
          if (args.token_zeros != nullptr) zero = args.token_zeros[token];
        }
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          const float sum = sum_of(4 * i + 2 * j + e);
          values[b][2 * j + e] =
              kScaled ? scale * (sum - zero * row_sum[j]) + bias[j] : sum + bias[j];
        }
      }
      rows.add_old(first + b, values[b]);
    }
#pragma unroll
    for (int b = 0; b < kTogether; ++b) rows.store(first + b, values[b]);
  }
}

// sum_of(i), i < kCount: a lane's sums, 4 for each block of 8 tokens.
template <int kCount, class SumOf>
__device__ __forceinline__ void store_tile(const gemm_args& args, const SumOf& sum_of,
                                           int first_row, int first_token, int lane) {
  if (first_row >= args.rows) return;
  if (args.epilogue == GEMM_STORE_F16) {
    const HalfRows rows(args, first_row, first_token, lane);
    if (args.token_scales != nullptr) {
      store_blocks<kCount, true>(args, rows, sum_of, first_row, first_token, lane);
    } else {
      store_blocks<kCount, false>(args, rows, sum_of, first_row, first_token, lane);
    }
  } else {
    const FloatRows rows(args, first_row, first_token, lane);
    if (args.token_scales != nullptr) {
      store_blocks<kCount, true>(args, rows, sum_of, first_row, first_token, lane);
    } else {
      store_blocks<kCount, false>(args, rows, sum_of, first_row, first_token, lane);
    }
  }
}

}  // namespace nibble

#endif  // NIBBLE_GEMM_OUTPUT_CUH
