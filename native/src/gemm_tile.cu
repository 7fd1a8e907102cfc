// See gemm_tile.h. A thread makes 32 bytes of a token's 128, four threads a token.
#include "gemm_tile.h"

#include <cuda_fp16.h>

namespace {

constexpr int kThreadBytes = 32;
constexpr int kTokenThreads = GEMM_TILE_ROW_BYTES / kThreadBytes;
static_assert(GEMM_TILE_THREADS == GEMM_TILE_TOKENS * kTokenThreads, "a thread for every 32 bytes");

// Elements of a thread, with 0 past the last.
template <class T, int kCount>
struct alignas(16) Run {
  T values[kCount];
};

template <class T, int kCount>
__device__ __forceinline__ Run<T, kCount> load_run(const T* row, int first, int columns) {
  Run<T, kCount> run;
  if (first + kCount <= columns) {
#pragma unroll
    for (int i = 0; i < kCount * static_cast<int>(sizeof(T)) / 16; ++i) {
      reinterpret_cast<uint4*>(&run)[i] = reinterpret_cast<const uint4*>(row + first)[i];
    }
  } else {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      run.values[i] = first + i < columns ? row[first + i] : static_cast<T>(0);
    }
  }
  return run;
}

}  // namespace

extern "C" __global__ void __launch_bounds__(GEMM_TILE_THREADS)
    gemm_tile(const __grid_constant__ gemm_tile_args args) {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
  asm volatile("griddepcontrol.launch_dependents;");
#endif
  const int64_t padded_tokens = nibble_tiled_tokens(args.tokens);
  const int64_t token = static_cast<int64_t>(blockIdx.x) * GEMM_TILE_TOKENS +
                        threadIdx.x / kTokenThreads;
  if (token >= padded_tokens) return;
  const int part = threadIdx.x % kTokenThreads;
  const int columns = token < args.tokens ? args.columns : 0;

  uint4 out[2];
  if (args.kind == GEMM_TILE_CODES) {
    const int first = blockIdx.y * GEMM_TILE_ROW_BYTES + part * kThreadBytes;
    const auto run = load_run<int8_t, 32>(
        static_cast<const int8_t*>(args.x) + token * args.x_stride, first, columns);
    out[0] = reinterpret_cast<const uint4*>(&run)[0];
    out[1] = reinterpret_cast<const uint4*>(&run)[1];
  } else if (args.kind == GEMM_TILE_CODES_TO_FOURS) {
    const int first = blockIdx.y * (GEMM_TILE_ROW_BYTES * 2) + part * (kThreadBytes * 2);
    const auto* x = static_cast<const int8_t*>(args.x) + token * args.x_stride;
    const auto low = load_run<int8_t, 32>(x, first, columns);
    const auto high = load_run<int8_t, 32>(x, first + 32, columns);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      reinterpret_cast<uint32_t*>(out)[i] =
          (reinterpret_cast<const uint32_t*>(&low)[i] & 0x0f0f0f0f) |
          (reinterpret_cast<const uint32_t*>(&high)[i] & 0x0f0f0f0f) << 4;
    }
  } else {
    const int first = blockIdx.y * (GEMM_TILE_ROW_BYTES / 2) + part * (kThreadBytes / 2);
    uint32_t pairs[8];
    if (args.kind == GEMM_TILE_HALVES) {
      const auto run = load_run<__half, 16>(
          static_cast<const __half*>(args.x) + token * args.x_stride, first, columns);
#pragma unroll
      for (int i = 0; i < 8; ++i) pairs[i] = reinterpret_cast<const uint32_t*>(&run)[i];
    } else {
      const auto run = load_run<int8_t, 16>(
          static_cast<const int8_t*>(args.x) + token * args.x_stride, first, columns);
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const __half2 pair = __halves2half2(__int2half_rn(run.values[2 * i]),
                                            __int2half_rn(run.values[2 * i + 1]));
        pairs[i] = *reinterpret_cast<const uint32_t*>(&pair);
      }
    }
    out[0] = make_uint4(pairs[0], pairs[2], pairs[4], pairs[6]);
    out[1] = make_uint4(pairs[1], pairs[3], pairs[5], pairs[7]);
  }
  char* row = static_cast<char*>(args.tiled) +
              (blockIdx.y * padded_tokens + token) * GEMM_TILE_ROW_BYTES;
  const int swizzle = static_cast<int>(token % 8);
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    *reinterpret_cast<uint4*>(row + ((2 * part + i) ^ swizzle) * 16) = out[i];
  }
}
