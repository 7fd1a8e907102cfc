// Hopper's warpgroup products with the left operand in registers and the right one in swizzled shared
// memory. d += A B^T: the 16 rows of each warp of a warpgroup, whose fragment is a, by the rows of B at
// a descriptor, 32 bytes deep; d has half as many elements as B has rows. Without add, d = A B^T.
#ifndef NIBBLE_WGMMA_CUH
#define NIBBLE_WGMMA_CUH

#include <stdint.h>

namespace nibble {

// Orders this warp's registers before the products that follow.
__device__ __forceinline__ void wgmma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

// Waits until at most kPending groups of products are under way.
template <int kPending>
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

// Keeps the compiler from moving accumulators across a wait.
template <int kCount>
__device__ __forceinline__ void hold(float (&values)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(values[i])::"memory");
}

template <int kCount>
__device__ __forceinline__ void hold(int32_t (&values)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+r"(values[i])::"memory");
}

template <int kCount>
__device__ __forceinline__ void hold(uint32_t (&values)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+r"(values[i])::"memory");
}

// Descriptor of operand B in shared memory: rows of 128 bytes, 128-byte swizzle, K major. Adding 2
// moves it by 32 bytes of depth.
__device__ __forceinline__ uint64_t rows_descriptor(uint32_t address) {
  constexpr uint64_t kSwizzle128 = 1ull << 62;
  constexpr uint64_t kEightRows = 1024 >> 4;
  return kSwizzle128 | kEightRows << 32 | 1ull << 16 | (address & 0x3ffff) >> 4;
}

// The descriptor of what lies `bytes` of depth further. Its low word does not overflow.
__device__ __forceinline__ uint64_t advanced(uint64_t descriptor, uint32_t bytes) {
  return descriptor >> 32 << 32 | (static_cast<uint32_t>(descriptor) + bytes / 16);
}

// Operands 0 to n - 1 in the text of an instruction, and as d's elements.
#define NIBBLE_D4 "%0, %1, %2, %3"
#define NIBBLE_D8 NIBBLE_D4 ", %4, %5, %6, %7"
#define NIBBLE_D16 NIBBLE_D8 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define NIBBLE_D32                                                                            \
  NIBBLE_D16 ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, " \
             "%31"
#define NIBBLE_D64                                                                            \
  NIBBLE_D32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, " \
             "%47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, "    \
             "%62, %63"
#define NIBBLE_D128                                                                           \
  NIBBLE_D64 ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, " \
             "%79, %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, "    \
             "%94, %95, %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, " \
             "%108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, %119, %120, " \
             "%121, %122, %123, %124, %125, %126, %127"
#define NIBBLE_E4(C, i) C(d[i]), C(d[i + 1]), C(d[i + 2]), C(d[i + 3])
#define NIBBLE_E8(C, i) NIBBLE_E4(C, i), NIBBLE_E4(C, i + 4)
#define NIBBLE_E16(C, i) NIBBLE_E8(C, i), NIBBLE_E8(C, i + 8)
#define NIBBLE_E32(C, i) NIBBLE_E16(C, i), NIBBLE_E16(C, i + 16)
#define NIBBLE_E64(C, i) NIBBLE_E32(C, i), NIBBLE_E32(C, i + 32)
#define NIBBLE_E128(C, i) NIBBLE_E64(C, i), NIBBLE_E64(C, i + 64)

// A product of count elements of d: A's operands, B's and add's follow d's.
#define NIBBLE_WGMMA(NAME, TYPE, C, SHAPE, COUNT, A, B, ADD, REST)                               \
  __device__ __forceinline__ void NAME(TYPE (&d)[COUNT], const uint32_t* a, uint64_t b,          \
                                       bool add = true) {                                        \
    asm volatile("{ .reg .pred p; setp.ne.b32 p, " ADD ", 0; wgmma.mma_async.sync.aligned." SHAPE \
                 " {" NIBBLE_D##COUNT "}, {" A "}, " B ", p" REST "; }"                          \
                 : NIBBLE_E##COUNT(C, 0)                                                         \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b),                           \
                   "r"(static_cast<int>(add)));                                                  \
  }

#define NIBBLE_WGMMA_4(NAME, TYPE, C, SHAPE, REST) \
  NIBBLE_WGMMA(NAME, TYPE, C, SHAPE, 4, "%4, %5, %6, %7", "%8", "%9", REST)
#define NIBBLE_WGMMA_8(NAME, TYPE, C, SHAPE, REST) \
  NIBBLE_WGMMA(NAME, TYPE, C, SHAPE, 8, "%8, %9, %10, %11", "%12", "%13", REST)
#define NIBBLE_WGMMA_16(NAME, TYPE, C, SHAPE, REST) \
  NIBBLE_WGMMA(NAME, TYPE, C, SHAPE, 16, "%16, %17, %18, %19", "%20", "%21", REST)
#define NIBBLE_WGMMA_32(NAME, TYPE, C, SHAPE, REST) \
  NIBBLE_WGMMA(NAME, TYPE, C, SHAPE, 32, "%32, %33, %34, %35", "%36", "%37", REST)
#define NIBBLE_WGMMA_64(NAME, TYPE, C, SHAPE, REST) \
  NIBBLE_WGMMA(NAME, TYPE, C, SHAPE, 64, "%64, %65, %66, %67", "%68", "%69", REST)
#define NIBBLE_WGMMA_128(NAME, TYPE, C, SHAPE, REST) \
  NIBBLE_WGMMA(NAME, TYPE, C, SHAPE, 128, "%128, %129, %130, %131", "%132", "%133", REST)

// fp16 by fp16, in fp32.
#define NIBBLE_HALVES(COUNT, ROWS)                               \
  NIBBLE_WGMMA_##COUNT(multiply_halves, float, "+f",             \
                       "m64n" #ROWS "k16.f32.f16.f16", ", 1, 1, 0")
// Unsigned or signed bytes by signed bytes.
#define NIBBLE_UNSIGNED(COUNT, ROWS) \
  NIBBLE_WGMMA_##COUNT(multiply_unsigned, int32_t, "+r", "m64n" #ROWS "k32.s32.u8.s8", "")
#define NIBBLE_SIGNED(COUNT, ROWS) \
  NIBBLE_WGMMA_##COUNT(multiply_signed, int32_t, "+r", "m64n" #ROWS "k32.s32.s8.s8", "")

NIBBLE_HALVES(32, 64)
NIBBLE_HALVES(64, 128)
NIBBLE_HALVES(128, 256)
NIBBLE_UNSIGNED(4, 8)
NIBBLE_UNSIGNED(8, 16)
NIBBLE_UNSIGNED(16, 32)
NIBBLE_UNSIGNED(32, 64)
NIBBLE_UNSIGNED(64, 128)
NIBBLE_UNSIGNED(128, 256)
NIBBLE_SIGNED(16, 32)
NIBBLE_SIGNED(32, 64)
NIBBLE_SIGNED(64, 128)
NIBBLE_SIGNED(128, 256)

}  // namespace nibble

#endif  // NIBBLE_WGMMA_CUH
