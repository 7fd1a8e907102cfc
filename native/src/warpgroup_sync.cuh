// How the warpgroups of skinny_wgmma.cuh wait for each other: those of a block by the barriers of its
// rings, those of several by counters in global memory.
#ifndef NIBBLE_WARPGROUP_SYNC_CUH
#define NIBBLE_WARPGROUP_SYNC_CUH

#include <cstdint>

namespace nibble {

constexpr int kGroupThreads = 128;

__device__ __forceinline__ void sync_warpgroup(int group) {
  asm volatile("bar.sync %0, %1;" ::"r"(group + 1), "n"(kGroupThreads) : "memory");
}

// Adds 1 to a counter, after what the threads of the block that have synchronised with this one read
// and wrote.
__device__ __forceinline__ uint32_t count(uint32_t* counter) {
  uint32_t before;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;"
               : "=r"(before)
               : "l"(counter)
               : "memory");
  return before;
}

__device__ __forceinline__ void wait_for_count(const uint32_t* counter, uint32_t least) {
  uint32_t now;
  do {
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(now) : "l"(counter) : "memory");
  } while (now < least);
}

template <int kStages>
struct Barriers {
  uint64_t full[kStages];
  uint64_t empty[kStages];
};

// Where a ring's next stage is.
struct RingPlace {
  int stage = 0;
  uint32_t phase = 0;

  __device__ __forceinline__ void advance(int stages) {
    if (++stage == stages) {
      stage = 0;
      phase ^= 1;
    }
  }
};

}  // namespace nibble

#endif  // NIBBLE_WARPGROUP_SYNC_CUH
