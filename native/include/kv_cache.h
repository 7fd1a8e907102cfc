// Keys and values of a sequence on the device, the one truth of their layout. A sequence has one
// block of memory with a region for each layer; `capacity` positions, a multiple of
// KV_TILE_POSITIONS. In a region, one after the other:
//
//   keys    [kv_heads][capacity] rows      values  [kv_heads][capacity] rows
//   steps   [kv_heads][capacity] of {key step, key minimum, value step, value minimum}, fp16;
//           only below 16 bits
//
// A row is one position of one head. At 16 bits: head_dim fp16. At 8 and 4 bits: codes in channel
// order, the lowest bits first. At 3 bits, units of 32 channels, the last padded with codes of 0:
// three words w0 w1 w2 whose low half holds the unit's first 16 channels, the high half the others;
// in a half, channel 5c + f (f < 5) is bits 3f to 3f+2 of wc, and bit b of channel 15 is bit 15 of
// wb. The row's words lie as [3][units].
//
// Quantized as it is appended (fp32, half to even, divisions exact): h = (max - min) / (2^bits - 1)
// within [1e-5, 1e4], rounded to fp16; z = round(-min / h); code = clamp(round(x / h) + z, 0,
// 2^bits - 1); minimum = fp16(-z h); value = code h + minimum.
#ifndef NIBBLE_KV_CACHE_H
#define NIBBLE_KV_CACHE_H

#include <stdint.h>

#define KV_TILE_POSITIONS 16  // capacities are multiples of this many
#define KV_STEP_BYTES 8       // steps and minimums of a position and head, below 16 bits
#define KV_UNIT_CHANNELS 32   // channels of a unit of 3-bit codes
#define KV_UNIT_BYTES 12      // bytes of such a unit
#define KV_ALIGNMENT 256      // of a sequence's block and of each layer's region

#ifdef __CUDACC__
#define KV_INLINE static __host__ __device__ __forceinline__
#else
#define KV_INLINE static inline
#endif

// Bytes of a row. bits: 16, 8, 4 or 3; head_dim: a multiple of 16 up to 128.
KV_INLINE int kv_row_bytes(int bits, int head_dim) {
  return bits == 3 ? (head_dim + KV_UNIT_CHANNELS - 1) / KV_UNIT_CHANNELS * KV_UNIT_BYTES
                   : head_dim * bits / 8;
}

// Bytes from the start of a region to the values, to the steps, and to its end.
KV_INLINE int64_t kv_values_offset(int bits, int64_t capacity, int kv_heads, int head_dim) {
  return capacity * kv_heads * kv_row_bytes(bits, head_dim);
}

KV_INLINE int64_t kv_steps_offset(int bits, int64_t capacity, int kv_heads, int head_dim) {
  return 2 * kv_values_offset(bits, capacity, kv_heads, head_dim);
}

KV_INLINE int64_t kv_region_bytes(int bits, int64_t capacity, int kv_heads, int head_dim) {
  int64_t bytes = kv_steps_offset(bits, capacity, kv_heads, head_dim) +
                  (bits < 16 ? capacity * kv_heads * KV_STEP_BYTES : 0);
  return (bytes + KV_ALIGNMENT - 1) / KV_ALIGNMENT * KV_ALIGNMENT;
}

#endif  // NIBBLE_KV_CACHE_H
