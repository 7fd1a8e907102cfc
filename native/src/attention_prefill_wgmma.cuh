// attention_prefill on sm_90a: a warpgroup that copies, two that multiply 64 query rows each by wgmma,
// their weights staying in registers. Q, K and V lie in shared memory as rows of 128 bytes (64
// channels) whose 16-byte chunks are permuted by the row's number, wgmma's 128-byte swizzle; two
// stages of 128 keys and of 128 values.
#ifndef NIBBLE_ATTENTION_PREFILL_WGMMA_CUH
#define NIBBLE_ATTENTION_PREFILL_WGMMA_CUH

#include "attention_prefill_mma.cuh"

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

namespace nibble {

#define NIBBLE_R8(v, i) \
  "+f"(v[i]), "+f"(v[i + 1]), "+f"(v[i + 2]), "+f"(v[i + 3]), "+f"(v[i + 4]), "+f"(v[i + 5]), \
      "+f"(v[i + 6]), "+f"(v[i + 7])
#define NIBBLE_R32(v, i) \
  NIBBLE_R8(v, i), NIBBLE_R8(v, i + 8), NIBBLE_R8(v, i + 16), NIBBLE_R8(v, i + 24)
#define NIBBLE_NAMES_32                                                                       \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, " \
  "%20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define NIBBLE_NAMES_64                                                                        \
  NIBBLE_NAMES_32                                                                              \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, " \
  "%50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"

// sum [64, 128] = (clear ? 0 : sum) + a [64, 16] b [128, 16]^T, both in shared memory, K-major.
__device__ __forceinline__ void wgmma_keys(float (&sum)[64], uint64_t a, uint64_t b, bool clear) {
  asm volatile(
      "{\n\t.reg .pred p;\n\tsetp.ne.b32 p, %66, 0;\n\t"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {" NIBBLE_NAMES_64
      "}, %64, %65, p, 1, 1, 0, 0;\n\t}"
      : NIBBLE_R32(sum, 0), NIBBLE_R32(sum, 32)
      : "l"(a), "l"(b), "r"(clear ? 0 : 1));
}

// sum [64, n] += a [64, 16] b [16, n], a in registers, b in shared memory, rows of n.
__device__ __forceinline__ void wgmma_values(float (&sum)[64], const uint32_t (&a)[4], uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {" NIBBLE_NAMES_64
      "}, {%64, %65, %66, %67}, %68, 1, 1, 1, 1;"
      : NIBBLE_R32(sum, 0), NIBBLE_R32(sum, 32)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
__device__ __forceinline__ void wgmma_values(float (&sum)[32], const uint32_t (&a)[4], uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {" NIBBLE_NAMES_32
      "}, {%32, %33, %34, %35}, %36, 1, 1, 1, 1;"
      : NIBBLE_R32(sum, 0)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

__device__ __forceinline__ void wgmma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int kLeft>
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kLeft) : "memory");
}

// Keeps the compiler from touching registers that a wgmma under way owns.
template <int kCount>
__device__ __forceinline__ void hold(float (&v)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(v[i])::"memory");
}

// A matrix in shared memory with the 128-byte swizzle. leading: bytes between blocks of 64 columns,
// where the columns are not what is summed over. 1024 bytes between groups of 8 rows.
__device__ __forceinline__ uint64_t descriptor(uint32_t address, uint32_t leading) {
  return (address & 0x3ffffu) >> 4 | static_cast<uint64_t>(leading >> 4) << 16 |
         uint64_t{1024 >> 4} << 32 | uint64_t{1} << 62;
}

__device__ __forceinline__ void barrier_init(uint32_t barrier, int count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count));
}
__device__ __forceinline__ void barrier_arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
// Arrives when what this thread has copied so far is there.
__device__ __forceinline__ void barrier_arrive_copied(uint32_t barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
}
__device__ __forceinline__ void barrier_wait(uint32_t barrier, int parity) {
  asm volatile(
      "{\n\t.reg .pred p;\n\tagain_%=:\n\t"
      "mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n\t@!p bra again_%=;\n\t}" ::"r"(
          barrier),
      "r"(parity)
      : "memory");
}

template <int kDim>
class PrefillWgmma {
  static constexpr int kRows = ATTENTION_PREFILL_ROWS;
  static constexpr int kKeys = 128;
  static constexpr int kStages = 2;
  static constexpr int kRowBytes = 128;
  static constexpr int kBlocks = kDim / 64;
  static constexpr int kBlockBytes = kKeys * kRowBytes;
  static constexpr int kTileBytes = kBlocks * kBlockBytes;
  static_assert(kRows == kKeys, "queries are laid out as keys are");

  // Addresses in shared memory. Items in the order they are copied: keys and values of each tile.
  struct Layout {
    uint32_t base;
    __device__ uint32_t queries() const { return base; }
    __device__ uint32_t item(int i) const { return base + (1 + i % (2 * kStages)) * kTileBytes; }
    __device__ uint32_t full(int i) const {
      return base + (1 + 2 * kStages) * kTileBytes + 8 * (i % (2 * kStages));
    }
    __device__ uint32_t empty(int i) const { return full(i) + 16 * kStages; }
    static __device__ int round(int i) { return i / (2 * kStages) & 1; }
  };

 public:
  static constexpr int kSharedBytes = 1024 + (1 + 2 * kStages) * kTileBytes + 32 * kStages;

  static __device__ __forceinline__ void run(const attention_prefill_args& args, void* shared) {
    const uint32_t unaligned = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
    const Layout layout = {(unaligned + 1023) / 1024 * 1024};
    const PrefillBlock block = prefill_block(args);
    const int first_row = block.first_row;
    const PrefillRange range = prefill_range(args, first_row, kKeys);
    if (threadIdx.x == 0) {
      for (int i = 0; i < 2 * kStages; ++i) {
        barrier_init(layout.full(i), 128);
        barrier_init(layout.empty(i), 8);
      }
      asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();
    wait_for_previous_kernel();
    allow_next_kernel();
    if (threadIdx.x < 128) {
      asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
      copy(args, layout, block.head, first_row, range);
    } else {
      asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
      multiply(args, layout, block.head, first_row, range);
    }
  }

 private:
  // Copies kKeys rows from `first`, zeros from `end` on. A thread keeps its chunk, and its place in the
  // swizzle.
  static __device__ __forceinline__ void copy_rows(uint32_t to, const __half* rows, int64_t stride,
                                                   int first, int end) {
    constexpr int kChunks = kDim / 8;
    constexpr int kStep = 128 / kChunks;
    static_assert(kStep % 8 == 0, "a thread's rows are alike in the swizzle");
    const int row = threadIdx.x / kChunks, chunk = threadIdx.x % kChunks;
    const uint32_t at =
        to + chunk / 8 * kBlockBytes + row * kRowBytes + ((chunk ^ row) % 8) * 16;
    const __half* from = rows + (first + row) * stride + chunk * 8;
    if (first + kKeys <= end) {
#pragma unroll
      for (int i = 0; i < kKeys / kStep; ++i) {
        copy_async(at + i * kStep * kRowBytes, from + i * kStep * stride, true);
      }
    } else {
#pragma unroll 1
      for (int i = 0; i < kKeys / kStep; ++i) {
        const bool there = first + row + i * kStep < end;
        copy_async(at + i * kStep * kRowBytes, there ? from + i * kStep * stride : rows, there);
      }
    }
  }

  static __device__ __forceinline__ void copy(const attention_prefill_args& args,
                                              const Layout& layout, int head, int first_row,
                                              PrefillRange range) {
    const int64_t kv_rows = head / (args.heads / args.kv_heads) * args.capacity;
    const __half* keys = static_cast<const __half*>(args.keys) + kv_rows * kDim;
    const __half* values = static_cast<const __half*>(args.values) + kv_rows * kDim;
    const int length = args.position + args.tokens;
    const int items = 2 * (range.end_tile - range.first_tile);
    copy_rows(layout.queries(), static_cast<const __half*>(args.q) + head * kDim, args.q_stride,
              first_row, args.tokens);
    for (int i = 0; i < items; ++i) {
      if (i >= 2 * kStages) barrier_wait(layout.empty(i), Layout::round(i) ^ 1);
      copy_rows(layout.item(i), i % 2 == 0 ? keys : values, kDim,
                (range.first_tile + i / 2) * kKeys, length);
      barrier_arrive_copied(layout.full(i));
    }
    // A block's threads outlive its copies.
    asm volatile("cp.async.wait_all;" ::: "memory");
  }

  // What was copied is there, and wgmma, which reads through another proxy, sees it.
  static __device__ __forceinline__ void wait_full(const Layout& layout, int item) {
    barrier_wait(layout.full(item), Layout::round(item));
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  }

  static __device__ __forceinline__ void release(uint32_t barrier) {
    __syncwarp();
    if (threadIdx.x % 32 == 0) barrier_arrive(barrier);
  }

  static __device__ __forceinline__ void start_scores(const Layout& layout, int item,
                                                      uint32_t queries,
                                                      float (&scores)[kKeys / 2]) {
    wait_full(layout, item);
    hold(scores);
    wgmma_fence();
#pragma unroll
    for (int s = 0; s < kDim / 16; ++s) {
      const uint32_t at = s / 4 * kBlockBytes + s % 4 * 32;
      wgmma_keys(scores, descriptor(queries + at, 16), descriptor(layout.item(item) + at, 16),
                 s == 0);
    }
    wgmma_commit();
  }

  static __device__ __forceinline__ void start_values(const Layout& layout, int item,
                                                      const uint32_t (&weights)[kKeys / 16][4],
                                                      float (&sums)[kDim / 2]) {
    wait_full(layout, item);
    hold(sums);
    wgmma_fence();
#pragma unroll
    for (int s = 0; s < kKeys / 16; ++s) {
      wgmma_values(sums, weights[s],
                   descriptor(layout.item(item) + s * 16 * kRowBytes, kBlockBytes));
    }
    wgmma_commit();
  }

  static __device__ __forceinline__ void rescale(float (&sums)[kDim / 2],
                                                 const float (&factor)[2]) {
#pragma unroll
    for (int i = 0; i < kDim / 2; ++i) sums[i] *= factor[i >> 1 & 1];
  }

  static __device__ __forceinline__ void pack(const float (&scores)[kKeys / 2],
                                              uint32_t (&weights)[kKeys / 16][4]) {
#pragma unroll
    for (int i = 0; i < kKeys / 4; ++i) {
      weights[i / 4][i % 4] = half_pair(scores[2 * i], scores[2 * i + 1]);
    }
  }

  static __device__ __forceinline__ void multiply(const attention_prefill_args& args,
                                                  const Layout& layout, int head, int first_row,
                                                  PrefillRange range) {
    const int group = threadIdx.x / 128 - 1, warp = threadIdx.x / 32 % 4;
    const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    const int row = first_row + 64 * group + 16 * warp + g;
    const float scale = 1.44269504f / sqrtf(static_cast<float>(kDim));
    const uint32_t queries = layout.queries() + 64 * group * kRowBytes;
    RowSoftmax softmax;
    float sums[kDim / 2] = {};
    float scores[kKeys / 2];
    uint32_t weights[kKeys / 16][4];
    float shrink[2];
    const int items = 2 * (range.end_tile - range.first_tile);

    // The scores of a tile are multiplied before the values of the tile before it, so that their
    // softmax runs beside those.
    start_scores(layout, 0, queries, scores);
    wgmma_wait<0>();
    hold(scores);
    release(layout.empty(0));
    mask(args, range.first_tile * kKeys, 2 * t, args.position + row, scores);
    softmax.add(scores, scale, shrink);
    for (int item = 2; item < items; item += 2) {
      // Waits here for the values of the iteration before: in one block of code with the softmax, the
      // compiler would wait before that.
      wgmma_wait<0>();
      hold(sums);
      if (item > 2) release(layout.empty(item - 3));
      rescale(sums, shrink);
      pack(scores, weights);
      start_scores(layout, item, queries, scores);
      start_values(layout, item - 1, weights, sums);
      wgmma_wait<1>();
      hold(scores);
      release(layout.empty(item));
      mask(args, (range.first_tile + item / 2) * kKeys, 2 * t, args.position + row, scores);
      softmax.add(scores, scale, shrink);
    }
    wgmma_wait<0>();
    hold(sums);
    rescale(sums, shrink);
    pack(scores, weights);
    start_values(layout, items - 1, weights, sums);
    wgmma_wait<0>();
    hold(sums);

    float factor[2];
    softmax.finish(factor);
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int r = row + 8 * j;
      if (r >= args.tokens) continue;
      __half* out =
          static_cast<__half*>(args.out) + r * args.out_stride + int64_t{head} * kDim + 2 * t;
#pragma unroll
      for (int i = 0; i < kDim / 8; ++i) {
        *reinterpret_cast<uint32_t*>(out + 8 * i) = half_pair(
            sums[4 * i + 2 * j] * factor[j], sums[4 * i + 2 * j + 1] * factor[j]);
      }
    }
  }

  // Scores that a row may not see become -infinity. `column`: of this lane's first score.
  static __device__ __forceinline__ void mask(const attention_prefill_args& args, int tile,
                                              int column, int position,
                                              float (&scores)[kKeys / 2]) {
    const int window = args.window > 0 ? args.window : INT32_MAX;
    if (tile + kKeys - 1 <= position && position + 8 - tile < window) return;
#pragma unroll
    for (int i = 0; i < kKeys / 2; ++i) {
      const int behind = position + 8 * (i >> 1 & 1) - (tile + column + i / 4 * 8 + (i & 1));
      if (behind < 0 || behind >= window) scores[i] = -INFINITY;
    }
  }
};

}  // namespace nibble

#endif  // __CUDA_ARCH_FEAT_SM90_ALL
#endif  // NIBBLE_ATTENTION_PREFILL_WGMMA_CUH
