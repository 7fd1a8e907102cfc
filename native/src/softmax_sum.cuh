// Softmax sums whose parts are added in a fixed order.
#ifndef NIBBLE_SOFTMAX_SUM_CUH
#define NIBBLE_SOFTMAX_SUM_CUH

#include <cuda_fp16.h>

namespace nibble {

__device__ __forceinline__ float power_of_2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Values weighted by 2^(score - maximum), and the weights' sum.
struct SoftmaxSum {
  float maximum;
  float weights;
  float value;

  // Adds a part. Always in the same order, which decides the rounding.
  __device__ __forceinline__ void add(float part_maximum, float part_weights, float part_value) {
    if (part_maximum == -INFINITY) return;
    const float largest = fmaxf(maximum, part_maximum);
    const float a = power_of_2(maximum - largest), b = power_of_2(part_maximum - largest);
    maximum = largest;
    weights = __fmaf_rn(weights, a, part_weights * b);
    value = __fmaf_rn(value, a, part_value * b);
  }

  __device__ __forceinline__ __half average() const { return __float2half_rn(value / weights); }
};

}  // namespace nibble

#endif  // NIBBLE_SOFTMAX_SUM_CUH
