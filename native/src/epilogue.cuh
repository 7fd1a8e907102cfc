// What becomes of a product's sums: see the epilogues of gemv.h.
#ifndef NIBBLE_EPILOGUE_CUH
#define NIBBLE_EPILOGUE_CUH

#include <cuda_fp16.h>

#include <cstdint>

#include "async_copy.cuh"
#include "gemv.h"

namespace nibble {

// Where a padded row of all segments belongs.
struct OutputRow {
  int segment;
  int row;
};

__device__ __forceinline__ OutputRow output_row(const gemv_segment* segments, int count,
                                                int padded_row) {
  OutputRow out = {0, padded_row};
  while (out.segment + 1 < count) {
    const int rows = static_cast<int>(nibble_padded_rows(segments[out.segment].rows));
    if (out.row < rows) break;
    out.row -= rows;
    ++out.segment;
  }
  return out;
}

__device__ __forceinline__ float with_bias(const gemv_segment& segment, int64_t token, int row,
                                           float value) {
  if (segment.bias != nullptr) value = __fadd_rn(value, segment.bias[row]);
  if (segment.addend != nullptr) {
    value = __fadd_rn(value, load_fresh(segment.addend + token * segment.addend_stride + row));
  }
  return value;
}

__device__ __forceinline__ float swiglu(float gate, float up) {
  return __fmul_rn(__fdiv_rn(gate, __fadd_rn(1.0f, __expf(-gate))), up);
}

__device__ __forceinline__ void store_half(const gemv_segment& segment, int64_t token, int row,
                                           float value) {
  static_cast<__half*>(segment.y)[token * segment.y_stride + row] = __float2half_rn(value);
}

// Every epilogue but SwiGLU's.
__device__ __forceinline__ void store(const gemv_segment& segment, int epilogue, int64_t token,
                                      int row, float value) {
  value = with_bias(segment, token, row, value);
  if (epilogue == GEMV_STORE_F16) {
    store_half(segment, token, row, value);
  } else if (epilogue == GEMV_RELU_F16) {
    store_half(segment, token, row, fmaxf(value, 0.0f));
  } else {
    float* y = static_cast<float*>(segment.y) + token * segment.y_stride + row;
    *y = epilogue == GEMV_ADD_F32 ? __fadd_rn(load_fresh(y), value) : value;
  }
}

}  // namespace nibble

#endif  // NIBBLE_EPILOGUE_CUH
