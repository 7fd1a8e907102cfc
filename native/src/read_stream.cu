// See read_stream.h. Neighbouring threads load neighbouring words; each keeps four loads in flight, as
// two blocks of a multiprocessor leave a thread 32 registers.
#include "read_stream.h"

#if defined(__CUDA_ARCH__) && (__CUDA_ARCH__ == 860 || __CUDA_ARCH__ == 890)
#define READ_STREAM_BLOCKS 1  // these hold 1536 threads
#else
#define READ_STREAM_BLOCKS 2
#endif

extern "C" __global__ void __launch_bounds__(READ_STREAM_THREADS, READ_STREAM_BLOCKS)
    read_stream(const __grid_constant__ read_stream_args args) {
  if (args.bytes == 0) return;
  constexpr int kLoads = 4;
  __shared__ uint32_t warps[READ_STREAM_THREADS / 32];
  const int64_t count = args.bytes / READ_STREAM_BYTES;
  const int64_t step = static_cast<int64_t>(gridDim.x) * READ_STREAM_THREADS;
  const uint4* data = static_cast<const uint4*>(args.data);
  uint32_t sum = 0;
  int64_t i = static_cast<int64_t>(blockIdx.x) * READ_STREAM_THREADS + threadIdx.x;
  for (; i + (kLoads - 1) * step < count; i += kLoads * step) {
    uint4 loaded[kLoads];
#pragma unroll
    for (int k = 0; k < kLoads; ++k) loaded[k] = __ldcs(data + i + k * step);
#pragma unroll
    for (int k = 0; k < kLoads; ++k) {
      sum ^= loaded[k].x ^ loaded[k].y ^ loaded[k].z ^ loaded[k].w;
    }
  }
  for (; i < count; i += step) {
    const uint4 loaded = __ldcs(data + i);
    sum ^= loaded.x ^ loaded.y ^ loaded.z ^ loaded.w;
  }
  sum = __reduce_xor_sync(0xffffffffu, sum);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x < 32) {
    sum = __reduce_xor_sync(0xffffffffu, warps[threadIdx.x]);
    if (threadIdx.x == 0) args.sums[blockIdx.x] = sum;
  }
}
