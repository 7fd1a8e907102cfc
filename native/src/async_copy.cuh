// Copies from device to shared memory that complete on an mbarrier, and the dependency between a
// kernel and the one before it.
#ifndef NIBBLE_ASYNC_COPY_CUH
#define NIBBLE_ASYNC_COPY_CUH

#include <cstdint>

namespace nibble {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define NIBBLE_SM90 1
#else
#define NIBBLE_SM90 0
#endif
#ifndef NIBBLE_BULK_COPY
#define NIBBLE_BULK_COPY NIBBLE_SM90
#endif

__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// Waits until the kernels before this one have ended and their writes are visible.
__device__ __forceinline__ void wait_for_previous_kernel() {
#if NIBBLE_SM90
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Lets the next kernel's blocks move in where there is room.
__device__ __forceinline__ void start_next_kernel() {
#if NIBBLE_SM90
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// L2's preference for lines that are read once.
__device__ __forceinline__ uint64_t read_once_policy() {
  uint64_t policy;
  asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}

// A barrier whose phase ends when a warp's copies have landed: each lane's own, and on sm_90 one
// bulk copy. In a phase every lane calls arrive_when_copied after its copies, and bulk_copy if
// the phase has codes to copy in bulk.
struct CopyBarrier {
  uint32_t address;

  // One lane; the others meet it at __syncwarp.
  __device__ __forceinline__ void init() const {
    constexpr int arrivals = NIBBLE_BULK_COPY ? 33 : 32;
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(address), "r"(arrivals)
                 : "memory");
#if NIBBLE_BULK_COPY
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
  }

  __device__ __forceinline__ void wait(uint32_t phase) const {
#if NIBBLE_SM90
#define NIBBLE_TEST "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
#else
#define NIBBLE_TEST "mbarrier.test_wait.parity.shared::cta.b64 done, [%0], %1;\n"
#endif
    asm volatile("{\n.reg .pred done;\nAGAIN_%=:\n" NIBBLE_TEST "@!done bra AGAIN_%=;\n}" ::"r"(
                     address),
                 "r"(phase)
                 : "memory");
#undef NIBBLE_TEST
  }

  // Copies 16 bytes between 16-byte aligned addresses. Without a cache hint: given one and a uniform
  // address, ptxas 13.0 makes an instruction that an H200 calls illegal.
  __device__ __forceinline__ void copy16(uint32_t to, const void* from) const {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
  }

  // Copies `bytes`, a multiple of 16. On sm_90 one lane calls this, once a phase; before it all
  // lanes do.
  __device__ __forceinline__ void bulk_copy(uint32_t to, const uint8_t* from, uint32_t bytes,
                                            uint64_t policy) const {
#if NIBBLE_BULK_COPY
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(address),
                 "r"(bytes)
                 : "memory");
    if (bytes == 0) return;
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
        "[%0], [%1], %2, [%3], %4;" ::"r"(to),
        "l"(from), "r"(bytes), "r"(address), "l"(policy)
        : "memory");
#else
    for (uint32_t at = threadIdx.x % 32 * 16; at < bytes; at += 512) {
      copy16(to + at, from + at);
    }
#endif
  }

  __device__ __forceinline__ void arrive_when_copied() const {
    asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(address) : "memory");
  }
};

// Reads past L1 what an earlier kernel wrote: with programmatic dependent launch this kernel may
// have started before it did.
__device__ __forceinline__ uint4 load_fresh(const uint4* from) {
  uint4 value;
  asm volatile("ld.global.cg.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "l"(from)
               : "memory");
  return value;
}

__device__ __forceinline__ float load_fresh(const float* from) {
  float value;
  asm volatile("ld.global.cg.f32 %0, [%1];" : "=f"(value) : "l"(from) : "memory");
  return value;
}

__device__ __forceinline__ uint16_t load_fresh(const uint16_t* from) {
  uint16_t value;
  asm volatile("ld.global.cg.u16 %0, [%1];" : "=h"(value) : "l"(from) : "memory");
  return value;
}

}  // namespace nibble

#endif  // NIBBLE_ASYNC_COPY_CUH
