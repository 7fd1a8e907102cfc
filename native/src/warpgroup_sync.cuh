// How the warpgroups of skinny_wgmma.cuh wait for each other: those of a block by the barriers of its
// rings, those of several by the words they exchange in global memory.
#ifndef NIBBLE_WARPGROUP_SYNC_CUH
#define NIBBLE_WARPGROUP_SYNC_CUH

#include <cstdint>

namespace nibble {

constexpr int kGroupThreads = 128;

// A word in memory is 0 until it is written: what is exchanged is changed by these bits, which no
// arithmetic gives, neither fp32 (a NaN of its own) nor the sums of int8 products, which are smaller.
constexpr uint32_t kNeverGiven = 0x7ffffffe;

template <int kCount>
struct Words {
  uint32_t at[kCount];
};

template <int kCount>
__device__ __forceinline__ void write_words(uint32_t* to, const Words<kCount>& words) {
  if constexpr (kCount == 4) {
    __stcg(reinterpret_cast<uint4*>(to),
           make_uint4(words.at[0], words.at[1], words.at[2], words.at[3]));
  } else if constexpr (kCount == 2) {
    __stcg(reinterpret_cast<uint2*>(to), make_uint2(words.at[0], words.at[1]));
  } else {
    __stcg(to, words.at[0]);
  }
}

// Writes a lane's sums for one thread of another block to take, once.
template <int kCount>
__device__ __forceinline__ void write_sums(uint32_t* to, const float* sums) {
  Words<kCount> words;
#pragma unroll
  for (int i = 0; i < kCount; ++i) words.at[i] = __float_as_uint(sums[i]) ^ kNeverGiven;
  write_words(to, words);
}

template <int kCount>
__device__ __forceinline__ void read_fresh(const uint32_t* from, uint32_t (&words)[kCount]) {
  if constexpr (kCount == 4) {
    asm volatile("ld.relaxed.gpu.global.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "l"(from)
                 : "memory");
  } else if constexpr (kCount == 2) {
    asm volatile("ld.relaxed.gpu.global.v2.u32 {%0, %1}, [%2];"
                 : "=r"(words[0]), "=r"(words[1])
                 : "l"(from)
                 : "memory");
  } else {
    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(words[0]) : "l"(from) : "memory");
  }
}

// Waits for those that warps of several blocks wrote, one after the other, and leaves zeros. While
// they are not there a warp asks for one word of each alone: all lanes asking for theirs would fill L2.
template <int kWarps, int kCount>
__device__ __forceinline__ void take_sums(uint32_t* from, int lane, float (&sums)[kWarps][kCount]) {
  constexpr uint32_t kAll = 0xffffffff;
  constexpr int kStride = 32 * kCount;
  const uint32_t* const first = from - lane * kCount + lane % kWarps * kStride;
  Words<kCount> words[kWarps];
  while (true) {
    bool all = true;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) read_fresh(from + w * kStride, words[w].at);
#pragma unroll
    for (int i = 0; i < kWarps * kCount; ++i) all = all && words[i / kCount].at[i % kCount] != 0;
    if (__all_sync(kAll, all)) break;
    uint32_t word[1];
    do {
      read_fresh(first, word);
    } while (!__all_sync(kAll, word[0] != 0));
  }
#pragma unroll
  for (int w = 0; w < kWarps; ++w) {
    write_words<kCount>(from + w * kStride, {});
#pragma unroll
    for (int i = 0; i < kCount; ++i) sums[w][i] = __uint_as_float(words[w].at[i] ^ kNeverGiven);
  }
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
