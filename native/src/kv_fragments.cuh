// Rows of the cache as operands of mma.m16n8k16, straight from the words in memory. Codes below 16
// bits become fp16 without a conversion: in a half's lowest bits a code is the subnormal code 2^-24,
// k bits further up it is 2^k times that, and the products' other side or the sums undo the factor.
//
// Lane l has g = l / 4 and t = l % 4. Of a tile of 16 positions, as keys: rows g and g + 8, and of each
// the t-th quarter of the words. As values: rows 2t, 2t + 1, 2t + 8, 2t + 9, and of each an eighth.
#ifndef NIBBLE_KV_FRAGMENTS_CUH
#define NIBBLE_KV_FRAGMENTS_CUH

#include <cuda_fp16.h>
#include <stdint.h>

#include "head_row.cuh"

namespace nibble {

// Formats of rows. kAnyBits restores each element on the way in, as fp16.
constexpr int kAnyBits = 0;

// How to find a row's elements where the format is not a constant.
struct RowShape {
  int bits;
  int head_dim;
};

template <int kWords>
__device__ __forceinline__ void load_global(uint32_t* out, const void* from) {
  if constexpr (kWords == 4) {
    asm("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
        : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
        : "l"(from));
  } else if constexpr (kWords == 2) {
    asm("ld.global.L1::no_allocate.v2.u32 {%0, %1}, [%2];" : "=r"(out[0]), "=r"(out[1]) : "l"(from));
  } else {
    asm("ld.global.u32 %0, [%1];" : "=r"(out[0]) : "l"(from));
  }
}

// Neighbouring words, from device memory or from a copy of the row in shared memory.
template <int kWords, bool kShared>
__device__ __forceinline__ void load_words(uint32_t* out, const char* from) {
  if constexpr (kShared) {
#pragma unroll
    for (int i = 0; i < kWords; ++i) out[i] = reinterpret_cast<const uint32_t*>(from)[i];
  } else {
    load_global<kWords>(out, from);
  }
}

// The low halves of two words side by side, or the high ones.
__device__ __forceinline__ uint32_t low_halves(uint32_t a, uint32_t b) {
  return __byte_perm(a, b, 0x5410);
}
__device__ __forceinline__ uint32_t high_halves(uint32_t a, uint32_t b) {
  return __byte_perm(a, b, 0x7632);
}

// The bytes of a word's halves, low or high, each as a half.
__device__ __forceinline__ uint32_t even_bytes(uint32_t word) { return word & 0x00ff00ffu; }
__device__ __forceinline__ uint32_t odd_bytes(uint32_t word) { return __byte_perm(word, 0, 0x4341); }

// Elements i and i + 1 of a row, fp16.
static __device__ __noinline__ uint32_t any_pair(const char* row, KvStep kept, RowShape shape,
                                                 int i) {
  if (i >= shape.head_dim) return 0;
  if (shape.bits == 16) return reinterpret_cast<const uint32_t*>(row)[i / 2];
  const uint32_t* words = reinterpret_cast<const uint32_t*>(row);
  const float step = __half2float(kept.step), minimum = __half2float(kept.minimum);
  const int low = kv_code(words, shape.bits, shape.head_dim, i);
  const int high = kv_code(words, shape.bits, shape.head_dim, i + 1);
  const __half2 pair = __floats2half2_rn(__fmaf_rn(static_cast<float>(low), step, minimum),
                                         __fmaf_rn(static_cast<float>(high), step, minimum));
  return reinterpret_cast<const uint32_t&>(pair);
}

// Of the 3-bit fields of the halves of a unit's three words, field j: {w0 .. w2} hold 5 each, 15 is in
// the spare bits.
__device__ __forceinline__ uint32_t unit_field(const uint32_t* w, int j) {
  if (j == 15) {
    return (w[0] >> 15 & 0x00010001u) | (w[1] >> 14 & 0x00020002u) | (w[2] >> 13 & 0x00040004u);
  }
  const int f = j % 5;
  return f < 3 ? w[j / 5] & (0x00070007u << (3 * f))
               : w[j / 5] >> 9 & (0x00070007u << (3 * (f - 3)));
}

// log2 of the factor that unit_field leaves on field j.
__host__ __device__ constexpr int unit_field_shift(int j) { return j == 15 ? 0 : 3 * (j % 5 % 3); }

// One format: kBits and, as the fragments see it, kDim channels.
template <int kBits, int kDim>
struct KvFormat {
  static_assert(kDim == 64 || kDim == 128, "the fast head sizes");
  static_assert(kBits != 3 || kDim == 128, "3 bits fill 128 channels");
  static constexpr bool kCodes = kBits != 16 && kBits != kAnyBits;
  static constexpr int kRowBytes = kBits == 3 ? 48 : kDim * (kCodes ? kBits : 16) / 8;
  // Words of a row that a lane holds.
  static constexpr int kKeyWords = kBits == 3 ? 3 : kRowBytes / 16;
  static constexpr int kValueWords = kBits == 3 ? 3 : kRowBytes / 32;
  static constexpr int kKeyChunk = kKeyWords < 4 ? kKeyWords : 4;  // of them next to each other
  // Registers of fp16 pairs of a row of keys, two for each 16 channels; tiles of values.
  static constexpr int kPairs = kDim / 8;
  static constexpr int kMTiles = kDim / 16;

  // ---- keys

  // Bytes from the start of a row to those that load_key reads first, for codes. Rows of 16 bits are taken
  // from their start: with the lane's part added last, decode is 3 % faster.
  static __device__ __forceinline__ int key_offset(int t) {
    return !kCodes ? 0 : kBits == 3 ? 4 * t : 4 * kKeyChunk * t;
  }

  // Takes a row from key_offset on.
  template <bool kShared>
  static __device__ __forceinline__ void load_key(uint32_t* out, const char* row, KvStep kept,
                                                  RowShape shape, int t) {
    if constexpr (kBits == kAnyBits) {
#pragma unroll
      for (int i = 0; i < kKeyWords; ++i) {
        out[i] = any_pair(row, kept, shape, 8 * (i / 4 * 4 + t) + 2 * (i % 4));
      }
    } else if constexpr (kBits == 3) {
#pragma unroll
      for (int c = 0; c < 3; ++c) load_words<1, kShared>(out + c, row + 16 * c);
    } else {
#pragma unroll
      for (int i = 0; i < kKeyWords; i += kKeyChunk) {
        load_words<kKeyChunk, kShared>(out + i, row + 4 * (4 * i + (kCodes ? 0 : kKeyChunk * t)));
      }
    }
  }

  // Pair i of a row's words.
  static __device__ __forceinline__ uint32_t key_pair(const uint32_t* words, int i) {
    if constexpr (kBits == 8) {
      return i % 2 == 0 ? even_bytes(words[i / 2]) : odd_bytes(words[i / 2]);
    } else if constexpr (kBits == 4) {
      const uint32_t word = i % 4 < 2 ? words[i / 4] : words[i / 4] >> 8;
      return word & (i % 2 == 0 ? 0x000f000fu : 0x00f000f0u);
    } else if constexpr (kBits == 3) {
      return unit_field(words, i);
    } else {
      return words[i];
    }
  }

  // The channels of pair i in lane t: the first; how far the second is from it; log2 of the factor.
  static __device__ __forceinline__ int key_channel(int i, int t) {
    if constexpr (kBits == 8) {
      return 4 * (i / 2 / 4 * 16 + 4 * t + i / 2 % 4) + i % 2;
    } else if constexpr (kBits == 4) {
      return 8 * (kKeyWords * t + i / 4) + i % 4;
    } else if constexpr (kBits == 3) {
      return KV_UNIT_CHANNELS * t + i;
    } else {
      return 8 * (i / 4 * 4 + t) + 2 * (i % 4);
    }
  }
  static constexpr int kKeySpacing = kBits == 8 ? 2 : kBits == 4 ? 4 : kBits == 3 ? 16 : 1;
  static __device__ __forceinline__ constexpr int key_shift(int i) {
    return kBits == 4 ? 4 * (i % 2) : kBits == 3 ? unit_field_shift(i) : 0;
  }

  // ---- values

  // As key_offset.
  static __device__ __forceinline__ int value_offset(int g) {
    return !kCodes ? 0 : kBits == 3 ? 4 * (g / 2) : 4 * kValueWords * g;
  }

  template <bool kShared>
  static __device__ __forceinline__ void load_value(uint32_t* out, const char* row, KvStep kept,
                                                    RowShape shape, int g) {
    if constexpr (kBits == kAnyBits) {
#pragma unroll
      for (int i = 0; i < kValueWords; ++i) {
        out[i] = any_pair(row, kept, shape, 64 * (i / 4) + 8 * g + 2 * (i % 4));
      }
    } else if constexpr (kBits == 16) {
#pragma unroll
      for (int i = 0; i < kValueWords; i += 4) {
        load_words<4, kShared>(out + i, row + 16 * (2 * i + g));
      }
    } else if constexpr (kBits == 3) {
#pragma unroll
      for (int c = 0; c < 3; ++c) load_words<1, kShared>(out + c, row + 16 * c);
    } else {
      load_words<kValueWords, kShared>(out, row);
    }
  }

  // Of two rows' words, tile i's pair: its channel of rows g of the tile (high 0) or g + 8 (high 1).
  static __device__ __forceinline__ uint32_t value_pair(const uint32_t* a, const uint32_t* b, int i,
                                                        int high, int g) {
    if constexpr (kBits == 3) {
      uint32_t words[3];
      const uint32_t select = g % 2 == 0 ? 0x5410u : 0x7632u;
#pragma unroll
      for (int c = 0; c < 3; ++c) words[c] = __byte_perm(a[c], b[c], select);
      return unit_field(words, i + 8 * high);
    } else if constexpr (kCodes) {
      // Channels of this lane in order; kMTiles of them for each of the two rows.
      const int channel = i + kMTiles * high;
      constexpr int kPerWord = 32 / kBits;
      const int word = channel / kPerWord, field = channel % kPerWord;
      const uint32_t halves = field < kPerWord / 2 ? low_halves(a[word], b[word])
                                                   : high_halves(a[word], b[word]);
      const int j = field % (kPerWord / 2);
      if constexpr (kBits == 8) {
        return j == 0 ? even_bytes(halves) : odd_bytes(halves);
      } else {
        return (j < 2 ? halves : halves >> 8) & (j % 2 == 0 ? 0x000f000fu : 0x00f000f0u);
      }
    } else {
      const int word = i / 2 + kValueWords / 2 * high;
      return i % 2 == 0 ? low_halves(a[word], b[word]) : high_halves(a[word], b[word]);
    }
  }

  static __device__ __forceinline__ int value_channel(int i, int high, int g) {
    if constexpr (kCodes) return 2 * kMTiles * g + kMTiles * high + i;
    return kDim == 128 ? 64 * high + 8 * g + i : 8 * g + 4 * high + i;
  }
  static __device__ __forceinline__ constexpr int value_shift(int i, int high) {
    return kBits == 4 ? 4 * ((i + kMTiles * high) % 2)
                      : kBits == 3 ? unit_field_shift(i + 8 * high) : 0;
  }
};

}  // namespace nibble

#endif  // NIBBLE_KV_FRAGMENTS_CUH
