// See skinny.h: its kernels, of skinny_rows.cuh, skinny_wide.cuh and, for sm_90a, skinny_wgmma.cuh.
#ifndef NIBBLE_SKINNY_CUH
#define NIBBLE_SKINNY_CUH

#include "skinny_rows.cuh"
#include "skinny_wide.cuh"

namespace nibble {

template <int kBits, SkinnyInput kInput, int kN>
__device__ __forceinline__ void skinny(const skinny_args& args) {
  extern __shared__ __align__(16) uint8_t shared[];
  Skinny<kBits, kInput, kN>(args, shared).run();
}

}  // namespace nibble

#define NIBBLE_SKINNY_KERNEL(bits, name, input, n)                                 \
  extern "C" __global__ void __launch_bounds__(SKINNY_THREADS, 2)                  \
      skinny_w##bits##name##_n##n(const __grid_constant__ skinny_args args) {  \
    nibble::skinny<bits, nibble::SkinnyInput::input, n>(args);                     \
  }

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#include "skinny_wgmma.cuh"
#else
#define NIBBLE_SKINNY_WGMMA_KERNELS(bits)
#endif

#define NIBBLE_SKINNY_KERNELS(bits)             \
  NIBBLE_SKINNY_KERNEL(bits, a16, kParts, 32)   \
  NIBBLE_SKINNY_KERNEL(bits, a16, kParts, 64)   \
  NIBBLE_SKINNY_KERNEL(bits, a16, kParts, 128)  \
  NIBBLE_SKINNY_KERNEL(bits, a8, kCodes, 32)    \
  NIBBLE_SKINNY_KERNEL(bits, a8, kCodes, 64)    \
  NIBBLE_SKINNY_WGMMA_KERNELS(bits)

#endif  // NIBBLE_SKINNY_CUH
