// See attention_prefill.h. Flash attention: tiles of keys one after the other, with a running maximum
// and sum of each row (Dao et al. 2022).
#include "attention_prefill.h"

#include "attention_prefill_mma.cuh"
#include "attention_prefill_wgmma.cuh"

static_assert(nibble::PrefillMma<128>::kSharedBytes <= ATTENTION_PREFILL_SHARED_ANY,
              "the launcher gives this much");
static_assert(nibble::PrefillMma<64>::kSharedBytes <= ATTENTION_PREFILL_SHARED_ANY,
              "the launcher gives this much");
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
static_assert(nibble::PrefillWgmma<64>::kSharedBytes <= ATTENTION_PREFILL_SHARED_64,
              "the launcher gives this much");
static_assert(nibble::PrefillWgmma<128>::kSharedBytes <= ATTENTION_PREFILL_SHARED_128,
              "the launcher gives this much");
#endif

template <int kDim>
__device__ __forceinline__ void attend(const attention_prefill_args& args, void* shared) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  nibble::PrefillWgmma<kDim>::run(args, shared);
#else
  nibble::PrefillMma<kDim>::run(args, kDim, shared);
#endif
}

extern "C" __global__ void __launch_bounds__(ATTENTION_PREFILL_THREADS, 1)
    attention_prefill_64(const __grid_constant__ attention_prefill_args args) {
  extern __shared__ uint4 shared[];
  attend<64>(args, shared);
}

extern "C" __global__ void __launch_bounds__(ATTENTION_PREFILL_THREADS, 1)
    attention_prefill_128(const __grid_constant__ attention_prefill_args args) {
  extern __shared__ uint4 shared[];
  attend<128>(args, shared);
}

extern "C" __global__ void __launch_bounds__(ATTENTION_PREFILL_THREADS, 1)
    attention_prefill_any(const __grid_constant__ attention_prefill_args args) {
  extern __shared__ uint4 shared[];
  nibble::PrefillMma<128>::run(args, args.head_dim, shared);
}
