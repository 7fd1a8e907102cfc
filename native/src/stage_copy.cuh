#ifndef NIBBLE_STAGE_COPY_CUH
#define NIBBLE_STAGE_COPY_CUH

#include <cstdint>

#include "async_copy.cuh"

namespace nibble {

// A barrier whose phase ends when the copies that a warp has started have landed: on sm_90 its lane
// 0 expects their bytes and copies in bulk, elsewhere each lane copies its share of 16-byte pieces
// and arrives after the last one.
struct StageBarrier : CopyBarrier {
  __device__ __forceinline__ StageBarrier(uint32_t at) : CopyBarrier{at} {}

  // One lane; others see it after a barrier of theirs.
  __device__ __forceinline__ void init() const {
    constexpr int arrivals = NIBBLE_BULK_COPY ? 1 : 32;
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(address), "r"(arrivals)
                 : "memory");
#if NIBBLE_BULK_COPY
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
  }

  // Before the copies of a phase: on sm_90 by lane 0, with the bytes of all of them.
  __device__ __forceinline__ void expect(uint32_t bytes) const {
#if NIBBLE_BULK_COPY
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(address),
                 "r"(bytes)
                 : "memory");
#endif
  }

  // Copies `bytes`, a multiple of 16, between 16-byte aligned addresses: on sm_90 by lane 0,
  // elsewhere by all lanes.
  __device__ __forceinline__ void copy(uint32_t to, const uint8_t* from, uint32_t bytes,
                                       uint64_t policy) const {
#if NIBBLE_BULK_COPY
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
        "[%0], [%1], %2, [%3], %4;" ::"r"(to),
        "l"(from), "r"(bytes), "r"(address), "l"(policy)
        : "memory");
#else
    for (uint32_t at = threadIdx.x % 32 * 16; at < bytes; at += 512) copy16(to + at, from + at);
#endif
  }

  // After them, by the same lanes.
  __device__ __forceinline__ void end_copies() const {
#if !NIBBLE_BULK_COPY
    arrive_when_copied();
#endif
  }
};

}  // namespace nibble

#endif  // NIBBLE_STAGE_COPY_CUH
